//! Changing what a store may occupy.

use super::open::Core;
use crate::stream::{Settings, write_settings};
use forgeone_db_engine::{Error, ErrorKind, Result};

impl Core {
    /// Records a new quota, which this handle heeds at once.
    ///
    /// # Errors
    /// `Unsupported` on a handle that only reads; as a commit.
    pub(super) async fn set_max_size_bytes(&self, bytes: u64) -> Result<()> {
        let Some(system) = self.writers.first() else {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "this handle only reads; open the store for writing to change its quota",
            ));
        };
        self.shared.check_open()?;
        let _changing = self.shared.quota_change.lock().await;
        let before = self.shared.quota_bytes();
        if exceeds(bytes, before) {
            // First: a store that has reached its quota would refuse the record of a larger one.
            self.shared.set_quota_bytes(bytes);
        }
        let settings = Settings { max_size_bytes: bytes, ..self.settings.clone() };
        let written = write_settings(system, &settings).await;
        self.shared.set_quota_bytes(if written.is_ok() { bytes } else { before });
        written
    }
}

/// Whether quota `a` allows more than quota `b`; 0 is no limit.
const fn exceeds(a: u64, b: u64) -> bool {
    b != 0 && (a == 0 || a > b)
}
