//! Numbers from a printed seed, so that whatever they lead to can be had again.

/// SplitMix64 (Steele, Lea, Flood 2014): small, and good enough to choose among cases.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    #[allow(dead_code, reason = "for the fuzz loop")]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The seed of `JTWBUILD_SEED`, else `usual`, which makes an ordinary test run the same every
    /// time. It is printed, and seen when the test fails.
    pub fn seeded(what: &str, usual: u64) -> Self {
        let given = std::env::var("JTWBUILD_SEED").ok();
        let seed = given.map_or(usual, |text| text.parse().expect("JTWBUILD_SEED is a number"));
        eprintln!("{what}: JTWBUILD_SEED={seed}");
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("below a usize")
    }

    pub fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// How many rounds: `usual`, or a hundred times as many with `JTWBUILD_LONG=1`.
pub fn rounds(usual: usize) -> usize {
    if std::env::var_os("JTWBUILD_LONG").is_some_and(|value| value == "1") { usual * 100 } else { usual }
}
