//! Variables, clauses, and what follows from them: two watched literals, learning at the first
//! unique implication point (Marques-Silva and Sakallah 1999; Moskewicz et al. 2001).
//!
//! Clauses come in the middle of a search, so a value may be found later than the level at which it
//! began to hold. Each value knows that level, and keeps it when later levels are undone.

/// A thing that is selected or ruled out.
pub(super) type Var = u32;

/// A variable that is selected, or, negated, one that is ruled out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Literal(u32);

impl Literal {
    pub fn selected(var: Var) -> Self {
        Self(var << 1)
    }

    pub fn ruled_out(var: Var) -> Self {
        Self(var << 1 | 1)
    }

    pub fn var(self) -> Var {
        self.0 >> 1
    }

    pub fn is_selection(self) -> bool {
        self.0 & 1 == 0
    }

    fn negated(self) -> Self {
        Self(self.0 ^ 1)
    }

    fn index(self) -> usize {
        self.0 as usize
    }
}

/// Why a variable has its value.
#[derive(Clone, Copy, Debug)]
enum Reason {
    Decision,
    /// All other literals of the clause are false.
    Clause(u32),
    /// The other variable is selected, and both cannot be.
    Excluded(Var),
}

#[derive(Clone, Copy, Debug)]
struct Variable {
    /// Selected or ruled out, if that is known.
    value: Option<bool>,
    level: u32,
    reason: Reason,
}

/// A clause of which every literal is false.
#[derive(Debug)]
pub(super) struct Conflict(Vec<Literal>);

/// The clauses, and the values that follow from them and from what was decided.
#[derive(Debug, Default)]
pub(super) struct Clauses {
    variables: Vec<Variable>,
    all: Vec<Box<[Literal]>>,
    /// For each literal, the clauses to look at when it becomes true: they watch its negation.
    watches: Vec<Vec<u32>>,
    /// Literals in the order in which they became true.
    trail: Vec<Literal>,
    /// How much of the trail was looked at.
    head: usize,
    /// Length of the trail when each level began.
    levels: Vec<usize>,
    /// For learning: variables that were met.
    met: Vec<bool>,
}

impl Clauses {
    /// Forgets everything but keeps the memory.
    pub fn clear(&mut self) {
        self.variables.clear();
        self.all.clear();
        self.watches.iter_mut().for_each(Vec::clear);
        self.trail.clear();
        self.head = 0;
        self.levels.clear();
        self.met.clear();
    }

    /// Adds a variable of which nothing is known.
    pub fn add_variable(&mut self) -> Var {
        let var = count(self.variables.len());
        self.variables.push(Variable { value: None, level: 0, reason: Reason::Decision });
        self.met.push(false);
        if self.watches.len() < self.variables.len() * 2 {
            self.watches.resize_with(self.variables.len() * 2, Vec::new);
        }
        var
    }

    /// Whether a variable is selected (`Some(true)`) or ruled out.
    pub fn value(&self, var: Var) -> Option<bool> {
        self.variables[var as usize].value
    }

    fn is(&self, literal: Literal) -> Option<bool> {
        self.value(literal.var()).map(|selected| selected == literal.is_selection())
    }

    fn level_of(&self, literal: Literal) -> u32 {
        self.variables[literal.var() as usize].level
    }

    fn set(&mut self, literal: Literal, reason: Reason, level: u32) {
        let value = Some(literal.is_selection());
        self.variables[literal.var() as usize] = Variable { value, level, reason };
        self.trail.push(literal);
    }

    /// Selects a variable for good.
    pub fn assert(&mut self, var: Var) {
        self.set(Literal::selected(var), Reason::Decision, 0);
    }

    /// Selects a variable until it turns out that this leads nowhere.
    pub fn decide(&mut self, var: Var) {
        self.levels.push(self.trail.len());
        self.set(Literal::selected(var), Reason::Decision, count(self.levels.len()));
    }

    /// Rules out `other` because `selected` is selected.
    pub fn exclude(&mut self, other: Var, selected: Var) -> Result<(), Conflict> {
        match self.value(other) {
            Some(true) => Err(Conflict(vec![Literal::ruled_out(selected), Literal::ruled_out(other)])),
            Some(false) => Ok(()),
            None => {
                let level = self.variables[selected as usize].level;
                self.set(Literal::ruled_out(other), Reason::Excluded(selected), level);
                Ok(())
            }
        }
    }

    /// Adds a clause: at least one of its literals has to be true.
    pub fn add(&mut self, mut clause: Vec<Literal>) -> Result<(), Conflict> {
        // The two that stay true or undecided longest are watched.
        for place in 0..clause.len().min(2) {
            let mut best = place;
            for at in place + 1..clause.len() {
                if self.lasts(clause[at]) > self.lasts(clause[best]) {
                    best = at;
                }
            }
            clause.swap(place, best);
        }
        let id = count(self.all.len());
        for literal in clause.iter().take(2) {
            self.watches[literal.negated().index()].push(id);
        }
        let first = *clause.first().expect("a clause has a literal");
        let second = clause.get(1).copied();
        let conflict = self.is(first) == Some(false);
        let is_unit = self.is(first).is_none() && second.is_none_or(|second| self.is(second) == Some(false));
        if conflict {
            let conflict = Conflict(clause.clone());
            self.all.push(clause.into());
            return Err(conflict);
        }
        self.all.push(clause.into());
        if is_unit {
            let level = second.map_or(0, |second| self.level_of(second));
            self.set(first, Reason::Clause(id), level);
        }
        Ok(())
    }

    fn lasts(&self, literal: Literal) -> u32 {
        match self.is(literal) {
            Some(true) => u32::MAX,
            None => u32::MAX - 1,
            Some(false) => self.level_of(literal),
        }
    }

    /// The next literal of which the consequences have not been drawn.
    pub fn next(&mut self) -> Option<Literal> {
        let literal = self.trail.get(self.head).copied();
        self.head += usize::from(literal.is_some());
        literal
    }

    /// Draws the consequences that clauses give a literal that became true.
    pub fn follow(&mut self, literal: Literal) -> Result<(), Conflict> {
        let gone = literal.negated();
        let mut watching = std::mem::take(&mut self.watches[literal.index()]);
        let mut conflict = None;
        watching.retain(|id| {
            if conflict.is_some() {
                return true;
            }
            let mut clause = std::mem::take(&mut self.all[*id as usize]);
            let stays = self.look_at(*id, &mut clause, gone, &mut conflict);
            self.all[*id as usize] = clause;
            stays
        });
        // Nothing watches a false literal anew, so the list is still empty.
        self.watches[literal.index()] = watching;
        conflict.map_or(Ok(()), Err)
    }

    /// Looks at a clause that watches `gone`, which became false. Says whether it goes on watching.
    fn look_at(
        &mut self,
        id: u32,
        clause: &mut [Literal],
        gone: Literal,
        conflict: &mut Option<Conflict>,
    ) -> bool {
        if clause.len() > 1 {
            if clause[0] == gone {
                clause.swap(0, 1);
            }
            if self.is(clause[0]) == Some(true) {
                return true;
            }
            let other = (2..clause.len()).find(|at| self.is(clause[*at]) != Some(false));
            if let Some(other) = other {
                clause.swap(1, other);
                self.watches[clause[1].negated().index()].push(id);
                return false;
            }
            if self.is(clause[0]).is_none() {
                let level = clause[1..].iter().map(|literal| self.level_of(*literal)).max().unwrap_or(0);
                self.set(clause[0], Reason::Clause(id), level);
                return true;
            }
        }
        *conflict = Some(Conflict(clause.to_vec()));
        true
    }

    /// Learns a clause from a conflict and goes back to where it says something new. False: the
    /// conflict depends on no decision.
    pub fn learn(&mut self, Conflict(mut clause): Conflict) -> bool {
        let highest = clause.iter().map(|literal| self.level_of(*literal)).max().unwrap_or(0);
        if highest == 0 {
            return false;
        }
        self.back_to(highest);
        let (mut learned, mut met) = (Vec::new(), Vec::new());
        let (mut open, mut at) = (0, self.trail.len());
        let last = loop {
            for literal in &clause {
                let var = literal.var();
                if std::mem::replace(&mut self.met[var as usize], true) {
                    continue;
                }
                met.push(var);
                match self.level_of(*literal) {
                    0 => {}
                    level if level == highest => open += 1,
                    _ => learned.push(*literal),
                }
            }
            // The last of the level's literals that had to do with it.
            let pivot = loop {
                at -= 1;
                let literal = self.trail[at];
                if self.met[literal.var() as usize] && self.level_of(literal) == highest {
                    break literal;
                }
            };
            open -= 1;
            if open == 0 {
                break pivot;
            }
            clause = self.reason_of(pivot);
        };
        for var in met {
            self.met[var as usize] = false;
        }
        let back = learned.iter().map(|literal| self.level_of(*literal)).max().unwrap_or(0);
        self.back_to(back);
        learned.insert(0, last.negated());
        let added = self.add(learned);
        debug_assert!(added.is_ok(), "its first literal is undecided again");
        true
    }

    /// The literals whose falsehood made `literal` true.
    fn reason_of(&self, literal: Literal) -> Vec<Literal> {
        match self.variables[literal.var() as usize].reason {
            Reason::Decision => Vec::new(),
            Reason::Excluded(selected) => vec![Literal::ruled_out(selected)],
            Reason::Clause(id) => {
                self.all[id as usize].iter().copied().filter(|other| *other != literal).collect()
            }
        }
    }

    fn back_to(&mut self, level: u32) {
        let Some(&start) = self.levels.get(level as usize) else { return };
        self.levels.truncate(level as usize);
        self.head = self.head.min(start);
        for literal in self.trail.split_off(start) {
            if self.level_of(literal) > level {
                self.variables[literal.var() as usize].value = None;
            } else {
                self.trail.push(literal);
            }
        }
    }
}

fn count(length: usize) -> u32 {
    u32::try_from(length).expect("a search has far fewer than 2^31 of anything")
}
