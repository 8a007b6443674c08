//! Every engine of this crate against the contract, and the suite itself against broken engines.

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod sensitivity;
#[cfg(test)]
mod volatile;
