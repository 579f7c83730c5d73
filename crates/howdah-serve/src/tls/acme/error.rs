//! Why there is no certificate.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use instant_acme::Problem;

/// A certificate that was not issued, or cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum AcmeError {
    /// A file of the store cannot be read or written.
    #[error("cannot keep certificates in `{}`", path.display())]
    Keep {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of the store holds something else.
    #[error("`{}` is damaged: remove it, and a new one is asked for", .0.display())]
    Damaged(PathBuf),
    /// The certificates of the directory's authority cannot be read.
    #[error("cannot read the authority's certificate in `{}`", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The authority cannot be asked, or refuses.
    #[error("the authority did not {what}")]
    Protocol {
        /// What it was asked to do.
        what: &'static str,
        /// Why.
        source: instant_acme::Error,
    },
    /// The authority could not see that a name is ours.
    #[error(
        "the authority could not validate `{name}` by {by}: is the name this machine's, and are its ports open?"
    )]
    Invalid {
        /// The name.
        name: String,
        /// The kind of challenge.
        by: &'static str,
        /// What it says.
        source: Problem,
    },
    /// The authority does not offer the challenge that was to be met.
    #[error("the authority offers no {by} for `{name}`")]
    NoChallenge {
        /// The name.
        name: String,
        /// The kind of challenge.
        by: &'static str,
    },
    /// A key, a request or a proof cannot be made.
    #[error("cannot make a key or a request for a certificate")]
    Certificate(#[source] rcgen::Error),
    /// What was issued cannot be used.
    #[error("cannot use what the authority issued")]
    Unusable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The order was not done in time.
    #[error("the authority took longer than {0:?}")]
    TookTooLong(Duration),
}
