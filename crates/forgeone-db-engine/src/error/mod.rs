//! The one error type of the project: what failed, what it means for a write, and what to do next.
//!
//! Absent on purpose: exit codes (the command line), status codes (the server) and engine error
//! types (each engine translates its own).

use std::error::Error as StdError;
use std::fmt;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller can act on. A kind exists only if the caller would act differently on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// What was asked for does not exist. Remedy: check the name or id.
    NotFound,
    /// What was to be created exists. Remedy: open it, or choose another name.
    AlreadyExists,
    /// A precondition did not hold, or an id is taken by other content. Remedy: read the present
    /// state and decide again.
    Conflict,
    /// The caller may not do this. Remedy: ask whoever grants access.
    Denied,
    /// The request itself is wrong. Remedy: change the request; retrying is pointless.
    Invalid,
    /// This engine or build cannot do it. Remedy: choose another engine, option or level.
    Unsupported,
    /// Another process holds the store. Remedy: close the other process, or wait.
    InUse,
    /// The key does not open this store. Remedy: supply the right key.
    WrongKey,
    /// Stored bytes are damaged, missing or not authentic. Remedy: run `verify`, which names what
    /// is damaged; restore it from a backup.
    Corrupt,
    /// The store was written by a newer format. Remedy: use a newer release.
    UpgradeRequired,
    /// The quota or the disk is full. Remedy: free space or raise the quota, then retry.
    Full,
    /// Temporarily impossible. Remedy: retry.
    Unavailable,
    /// The handle no longer takes this operation, for the reason given. Remedy: reopen the store.
    Closed(ClosedReason),
    /// A broken invariant or an unforeseen failure below. Remedy: report it, with the message.
    Internal,
}

/// Why a handle is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClosedReason {
    /// `close` was called.
    Shutdown,
    /// A write or sync failed, or the engine panicked, so nothing after it can be trusted to be
    /// durable until the store is reopened from disk.
    Poisoned,
    /// Another writer with a higher term has taken the store over.
    Fenced,
}

/// Whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// The same call fails for ever.
    Permanent,
    /// The same call may succeed later.
    Temporary,
    /// The same call was already retried inside and still failed.
    Persistent,
}

/// What became of a write that returned an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Nothing was written, and nothing ever will be.
    Rejected,
    /// The write may or may not be present; retry with the same ids to find out.
    Unknown,
}

/// The error of every fallible call: pointer-sized, one line when displayed, the whole chain when
/// debugged.
///
/// One type rather than one for each module, because a layer over several engines cannot expose
/// any engine's errors, and callers branch on [`Error::kind`] alone.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    status: Status,
    outcome: Outcome,
    message: String,
    op: Option<&'static str>,
    context: Vec<(&'static str, String)>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// Makes an error of `kind` with a message that says what is wrong, in words a person can act
    /// on. Its outcome is [`Outcome::Rejected`], its status follows from the kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let status = match kind {
            ErrorKind::InUse | ErrorKind::Full | ErrorKind::Unavailable => Status::Temporary,
            _ => Status::Permanent,
        };
        Self(Box::new(Inner {
            kind,
            status,
            outcome: Outcome::Rejected,
            message: message.into(),
            op: None,
            context: Vec::new(),
            source: None,
        }))
    }

    /// Names the operation that failed. The first name given stays: it is the innermost.
    #[must_use]
    pub fn with_op(mut self, op: &'static str) -> Self {
        self.0.op.get_or_insert(op);
        self
    }

    /// Adds a fact: a database, a table, a topic, a range. Never a secret.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.0.context.push((name, value.to_string()));
        self
    }

    /// Sets what became of the write.
    #[must_use]
    pub fn with_outcome(mut self, outcome: Outcome) -> Self {
        self.0.outcome = outcome;
        self
    }

    /// Sets whether trying again can help.
    #[must_use]
    pub fn with_status(mut self, status: Status) -> Self {
        self.0.status = status;
        self
    }

    /// Keeps the error that caused this one.
    #[must_use]
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.0.source = Some(Box::new(source));
        self
    }

    /// The kind, on which callers branch.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether trying again can help.
    pub fn status(&self) -> Status {
        self.0.status
    }

    /// What became of the write, if this is the error of a write. Errors of reads say `Rejected`.
    pub fn outcome(&self) -> Outcome {
        self.0.outcome
    }

    /// The operation that failed, where it was named.
    pub fn op(&self) -> Option<&'static str> {
        self.0.op
    }

    /// The facts that were attached, in order.
    pub fn context(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.context.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// The value attached under `name`, the first if there are several.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.context().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// The message alone, without operation and context.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// A copy for each further waiter of a failed group: same kind, status, outcome, message,
    /// operation and context; the source is kept as its text.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self(Box::new(Inner {
            kind: self.0.kind,
            status: self.0.status,
            outcome: self.0.outcome,
            message: self.0.message.clone(),
            op: self.0.op,
            context: self.0.context.clone(),
            source: self.0.source.as_ref().map(|source| source.to_string().into()),
        }))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        for (index, (name, value)) in self.context().enumerate() {
            f.write_str(if index == 0 { " (" } else { ", " })?;
            write!(f, "{name}: {value}")?;
        }
        if !self.0.context.is_empty() {
            f.write_str(")")?;
        }
        if let Some(source) = &self.0.source {
            write!(f, ": {source}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("status", &self.0.status)
            .field("outcome", &self.0.outcome)
            .field("op", &self.0.op)
            .field("message", &self.0.message)
            .field("context", &self.0.context)
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests;
