//! How credentials are obtained: one file per way, each an [`Enrol`].

pub mod est;
pub mod register;

pub use est::{Bootstrap, Est};
pub use register::{Register, Software};

use crate::Error;
use crate::agent::step::{ClientIdentity, Reply, Request, RetryAfter};
use crate::keys::PublicKey;
use crate::oauth::Words;
use crate::record::Credential;
use crate::time::Judge;
use crate::trust::Anchors;
use crate::x509::csr::Subject;

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
    /// The CSR as [`Enrol::wrap_csr`] left it, or what [`Enrol::compose`] wrote; empty before it was asked for.
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
    /// Load the record of the client registration; [`Enrol::recall`] judges it for this stage.
    Recall(Stage),
    /// Have [`Enrol::compose`] write what the stage sends, from the key and the first `length` octets of the body.
    Compose {
        /// Octets of the body that are still needed.
        length: usize,
        /// Whether the key is made first; at a renewal a new one.
        key: bool,
        /// The stage.
        then: Stage,
    },
    /// The first `length` octets of the body are the record of the client registration (RFC 7592), to be stored before
    /// anything else is done with it.
    Registered {
        /// Octets of the record.
        length: usize,
        /// Why the registration is of no use as it is; it is mended by the next try.
        flaw: Option<Error>,
    },
    /// The registration has ended.
    Gone,
}

/// The device, for [`Enrol::compose`].
#[derive(Clone, Copy)]
pub struct Applicant<'a> {
    /// What the firmware calls it.
    pub subject: Subject<'a>,
    /// The key to be registered.
    pub key: &'a PublicKey,
    /// The live key, at a renewal: it must serve until the new one is committed.
    pub live: Option<PublicKey>,
}

/// What can be done with a registration beside enrolment and renewal (RFC 7592).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Manage {
    /// Read it at the server (§2.1).
    Read,
    /// End it (§2.3).
    Delete,
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

    /// Keeps the words of a server that refused, if it has any.
    fn words(&self, _reply: &Reply, _body: &[u8], words: &mut Words) {
        *words = Words::NONE;
    }

    /// Turns the DER of the CSR, the first `length` octets, into what requests carry, in place; the new length.
    ///
    /// # Errors
    /// [`Error::NoSpace`] with the octets wanted.
    fn wrap_csr(&self, buffer: &mut [u8], length: usize) -> Result<usize, Error>;

    /// Whether a stored credential is of this backend; else the device enrols.
    fn accepts(&self, credential: &Credential<'_>) -> bool {
        credential.client.is_none()
    }

    /// Days after which the key of a registration is replaced; none: never. Certificates are renewed by their dates.
    fn rotate_after_days(&self) -> Option<u16> {
        None
    }

    /// The first thing to do to manage a registration.
    ///
    /// # Errors
    /// [`Error::Misuse`] if this way of enrolment knows none.
    fn manage(&self, _what: Manage) -> Result<Next, Error> {
        Err(NO_REGISTRATION)
    }

    /// Judges the record of the client registration that [`Next::Recall`] asked for; empty if there is none.
    ///
    /// # Errors
    /// [`Error::Stored`] or [`Error::Newer`].
    fn recall(&self, _stage: Stage, _record: &[u8]) -> Result<Next, Error> {
        Err(NO_REGISTRATION)
    }

    /// Writes what the request of a stage needs to the start of `into`, whence it comes back as [`Context::csr`]; its octets.
    /// `body` is what [`Next::Compose`] kept.
    ///
    /// # Errors
    /// [`Error::NoSpace`] with the octets wanted; [`Error::Malformed`] if the body will not do.
    fn compose(&self, _stage: Stage, _device: &Applicant<'_>, _body: &[u8], _into: &mut [u8]) -> Result<usize, Error> {
        Err(NO_REGISTRATION)
    }
}

const NO_REGISTRATION: Error =
    Error::Misuse("the profile's `enrol` registers no client; only `Register` has a registration to manage");
