//! TLS, with certificates of the test's own authority.

use std::fs;
use std::path::Path;

use kv_core::Error;
use kv_redis::{RedisStore, RedisStoreBuilder};
use kv_tests::services::{RedisServer, free_port};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

use crate::support::{get, put, value};

/// A server that wants a certificate from its clients.
struct Secured {
    _server: RedisServer,
    folder: TempDir,
    url: String,
}

impl Secured {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut authority = CertificateParams::new([]).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap());
        let authority = authority.unwrap();
        let write = |name: &str, text: String| fs::write(folder.path().join(name), text).unwrap();
        write("ca.pem", authority.pem());
        for name in ["server", "client"] {
            let key = KeyPair::generate().unwrap();
            let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
            let mut certificate = CertificateParams::new(names).unwrap();
            certificate
                .distinguished_name
                .push(DnType::CommonName, name);
            let certificate = certificate.signed_by(&key, &authority).unwrap();
            write(&format!("{name}.pem"), certificate.pem());
            write(&format!("{name}.key"), key.serialize_pem());
        }
        let port = free_port().to_string();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let server = RedisServer::start(&[
            "--tls-port",
            &port,
            "--tls-cert-file",
            &path("server.pem"),
            "--tls-key-file",
            &path("server.key"),
            "--tls-ca-cert-file",
            &path("ca.pem"),
        ]);
        Self {
            _server: server,
            url: format!("rediss://localhost:{port}"),
            folder,
        }
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(Path::new(self.folder.path()).join(name)).unwrap()
    }

    fn builder(&self) -> RedisStoreBuilder {
        RedisStore::builder(&self.url)
            .root_certificate(self.read("ca.pem"))
            .client_certificate(self.read("client.pem"), self.read("client.key"))
    }
}

#[tokio::test]
async fn a_store_works_over_tls_with_certificates_of_both_sides() {
    let secured = Secured::start();
    let store = secured.builder().build().unwrap();
    put(&store, "k", "v").await.unwrap();
    assert_eq!(get(&store, "k").await, Some(value("v")));
}

#[tokio::test]
async fn a_server_of_an_unknown_authority_is_not_used() {
    let secured = Secured::start();
    let store = RedisStore::new(&secured.url).unwrap();
    let error = put(&store, "k", "v").await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
}

#[tokio::test]
async fn certificates_without_tls_are_refused() {
    let builder = RedisStore::builder("redis://127.0.0.1").root_certificate("x");
    assert!(matches!(builder.build(), Err(Error::Unavailable { .. })));
}
