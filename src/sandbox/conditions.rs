//! What a builder finds around it that is not part of its request: the same in every build, unless an
//! audit wants to know what it does to the output.

use serde::{Deserialize, Serialize};

/// The surroundings of a run. The default is what every build has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditions {
    pub host_name: String,
    /// Number of the builder's user and group.
    pub user: u32,
    /// What user and group are called in place of the base's name for [`Self::USER`], where the base has
    /// one and the root directory is thrown away after the run.
    pub user_name: Option<String>,
    pub umask: u32,
    /// At most so many processors; all if there is no number.
    pub processors: Option<usize>,
    /// How many commands of one stage run side by side; without a number, as the engine is set.
    pub parallel: Option<usize>,
    /// Whether programs are at the same addresses each time, where that is allowed.
    pub fixed_addresses: bool,
    /// Whether the kernel calls itself 2.6, as it can for old programs.
    pub old_kernel: bool,
    /// What the clock says in the beginning, in seconds since 1970, going slowly from there; otherwise it
    /// is the machine's. See [`Self::CAN_TRACE`].
    pub clock: Option<i64>,
    /// Whether directories are listed the other way round. See [`Self::CAN_TRACE`].
    pub reversed_listings: bool,
}

impl Conditions {
    /// User and group of every build.
    pub const USER: u32 = 1000;
    /// Whether there can be a clock and listings that the machine does not have.
    pub const CAN_TRACE: bool = cfg!(target_arch = "x86_64");
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            host_name: "jtwbuild".to_owned(),
            user: Self::USER,
            user_name: None,
            umask: 0o022,
            processors: None,
            parallel: None,
            fixed_addresses: true,
            old_kernel: false,
            clock: None,
            reversed_listings: false,
        }
    }
}

/// A file like `/etc/passwd` or `/etc/group`, with another name and number where it has `number`.
pub(super) fn renamed(text: &str, number: u32, name: &str, new: u32) -> String {
    let number = number.to_string();
    let line = |line: &str| {
        let mut fields: Vec<String> = line.split(':').map(str::to_owned).collect();
        let is_passwd = fields.len() > 4;
        if fields.get(2) == Some(&number) {
            name.clone_into(&mut fields[0]);
            fields[2] = new.to_string();
            if is_passwd {
                fields[3] = new.to_string();
                name.clone_into(&mut fields[4]);
            }
        }
        fields.join(":") + "\n"
    };
    text.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_builder_is_renamed() {
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\nbuilder:x:1000:1000:builder:/tmp:/bin/sh\nx:x:11000:1:x:/:/\n";
        let expected = "root:x:0:0:root:/root:/bin/sh\nother:x:7:7:other:/tmp:/bin/sh\nx:x:11000:1:x:/:/\n";
        assert_eq!(renamed(passwd, 1000, "other", 7), expected);
        assert_eq!(renamed("root:x:0:\nbuilder:x:1000:\n", 1000, "other", 7), "root:x:0:\nother:x:7:\n");
    }
}
