//! The cryptography behind every outbound TLS connection: ring, for database and HTTP alike.

use std::sync::{Arc, OnceLock};

use rustls::crypto::CryptoProvider;

/// The provider, made the process's default on first use, because the HTTP client asks for that one.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| {
        // An error says that the embedding process chose one before; then that one is used.
        let _ = rustls::crypto::ring::default_provider().install_default();
        CryptoProvider::get_default().map_or_else(|| Arc::new(rustls::crypto::ring::default_provider()), Arc::clone)
    }))
}
