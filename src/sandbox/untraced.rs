//! In place of the tracer where there is none yet: on processors whose registers it does not know.

use std::ffi::{CStr, CString};

use nix::errno::Errno;
use nix::unistd::Pid;

use super::conditions::Conditions;
use super::wait::Stopped;

/// A tracer that cannot be had.
#[derive(Debug)]
pub struct Tracer;

impl Tracer {
    /// One that refuses to start anything, where the conditions need a tracer.
    pub fn new(conditions: &Conditions) -> Option<Self> {
        (conditions.clock.is_some() || conditions.reversed_listings).then_some(Self)
    }

    /// Refuses.
    pub fn start(&mut self, _: &CStr, _: &[CString], _: &[CString], _: Option<u64>) -> nix::Result<Pid> {
        Err(Errno::ENOSYS)
    }

    /// Nobody was known.
    pub fn forget(&mut self, _: Pid) {}

    /// There is nobody to go on.
    pub fn resume(&mut self, _: Pid, _: Stopped) {}
}
