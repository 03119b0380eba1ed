//! A helper that ends other programs when this one ends, however it ends: also if a test is killed.

use std::process::{Child, Command, Stdio};

/// Ends processes by their ids when dropped, or when this process is gone.
pub(crate) struct Leash(Child);

impl Leash {
    /// # Errors
    /// When there is no shell.
    pub(crate) fn on(processes: &[&Child]) -> Result<Self, String> {
        let ids = processes.iter().map(|process| process.id().to_string()).collect::<Vec<_>>().join(" ");
        // standard input is ours, and ends with us
        let script = format!("read -r end; kill -9 {ids}");
        let shell = Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).stderr(Stdio::null()).spawn();
        shell.map(Self).map_err(|error| format!("sh: {error}"))
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
