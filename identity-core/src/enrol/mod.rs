//! How credentials are obtained: one file per way, each an [`Enrol`].

pub mod est;

pub use est::{Bootstrap, Est};

use crate::Error;
use crate::agent::step::{ClientIdentity, Reply, Request, RetryAfter};
use crate::time::Judge;
use crate::trust::Anchors;

/// Longest request path, in octets.
pub const PATH: usize = 128;

/// A request path being written.
pub type Path = heapless::String<PATH>;

/// Where an enrolment stands: a number that only its [`Enrol`] understands. Survives no reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage(pub u8);

/// What an [`Enrol`] may look at.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Whether a live credential is being renewed.
    pub renewal: bool,
    /// Trust anchors: configured, and fetched so far.
    pub anchors: Anchors<'a>,
    /// The CSR as [`Enrol::wrap_csr`] left it; empty before it was asked for.
    pub csr: &'a [u8],
    /// The live identity at renewal, else the birth identity if the device has one.
    pub client: Option<ClientIdentity<'a>>,
    /// What validity is judged against.
    pub judge: Judge,
}

/// What an enrolment wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Ask the server: [`Enrol::request`] with this stage.
    Ask(Stage),
    /// Make the key and the CSR, then go on with this stage.
    Csr(Stage),
    /// Store the first `length` octets of the body, concatenated DER, as the fetched trust anchors; then go on.
    Anchors {
        /// Octets of the certificates.
        length: usize,
        /// The stage after.
        then: Stage,
    },
    /// Ask this stage again later.
    Later {
        /// What the server said about when.
        retry_after: Option<RetryAfter>,
        /// The stage to ask again.
        stage: Stage,
        /// What to tell the application meanwhile.
        why: Error,
    },
    /// The first `length` octets of the body are the issued certificates, concatenated DER.
    Issued {
        /// Octets of the certificates.
        length: usize,
    },
}

/// A way to obtain credentials: pure functions over requests and replies. Progress lives in the agent.
pub trait Enrol: Sync {
    /// Checks the configuration, such as the length of paths, and says the first thing to do.
    ///
    /// # Errors
    /// [`Error::Misuse`] naming the field of the configuration to fix.
    fn start(&self, context: &Context<'_>) -> Result<Next, Error>;

    /// The request of a stage. Called again for each repetition; writes its path into `path`.
    fn request<'a>(&'a self, stage: Stage, context: &Context<'a>, path: &'a mut Path) -> Request<'a>;

    /// Judges the reply of a stage; may rewrite the body in place.
    ///
    /// # Errors
    /// [`Error::Refused`] with the server's status, [`Error::Malformed`] or [`Error::Certificate`] for what it sent. The agent
    /// asks the same stage again: after seconds for 408, 429, 500 and 502 to 504, after a minute and more for the rest.
    fn reply(&self, stage: Stage, context: &Context<'_>, reply: &Reply, body: &mut [u8]) -> Result<Next, Error>;

    /// Turns the DER of the CSR, the first `length` octets, into what requests carry, in place; the new length.
    ///
    /// # Errors
    /// [`Error::NoSpace`] with the octets wanted.
    fn wrap_csr(&self, buffer: &mut [u8], length: usize) -> Result<usize, Error>;
}
