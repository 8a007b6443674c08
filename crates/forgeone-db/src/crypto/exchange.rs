//! X25519 over fixed-size byte strings.

use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

/// The public key that belongs to `secret`.
pub(super) fn public_key(secret: &[u8; 32]) -> [u8; 32] {
    PublicKey::from(&StaticSecret::from(*secret)).to_bytes()
}

/// What the holders of `secret` and of the secret behind `public` share. `None` if `public` is a
/// point of low order, whose result anybody could predict.
pub(super) fn shared_secret(secret: &[u8; 32], public: &[u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
    let shared = StaticSecret::from(*secret).diffie_hellman(&PublicKey::from(*public));
    shared.was_contributory().then(|| Zeroizing::new(shared.to_bytes()))
}
