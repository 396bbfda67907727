//! The locked dependencies, against the advisories that concern this project.
//!
//! `cargo deny check advisories` knows more, and needs a database that not every machine can
//! fetch. This table holds the line where it cannot.

use cargo_lock::Lockfile;
use semver::{Version, VersionReq};

/// Crate, versions that must not be locked, and why.
const VULNERABLE: &[(&str, &str, &str)] = &[
    ("anyhow", "<1.0.103", "RUSTSEC-2026-0190"),
    ("aws-lc-sys", "<0.39", "RUSTSEC-2026-0044 to -0048"),
    ("aws-sigv4", "<1", "RUSTSEC-2023-0125: logs credentials"),
    ("axum-core", "<0.3", "RUSTSEC-2022-0055: no body limit"),
    ("bytes", "<1.11.1", "RUSTSEC-2026-0007"),
    ("crossbeam-epoch", "<0.9.20", "RUSTSEC-2026-0204"),
    ("dynoxide-rs", "<0.9.13", "RUSTSEC-2026-0140"),
    ("h2", "<0.4.16", "RUSTSEC-2026-0258: unbounded empty DATA"),
    ("idna", "<1", "RUSTSEC-2024-0421"),
    ("jsonwebtoken", "<10.3", "CVE-2026-25537: skips `exp`"),
    ("lru", "<0.18.2", "RUSTSEC-2026-0002, -0253"),
    ("moka", "<0.12.16", "use after free"),
    (
        "quinn-proto",
        "<0.11.15",
        "RUSTSEC-2026-0185: unbounded memory",
    ),
    ("rand", "<0.9.3", "RUSTSEC-2026-0097"),
    ("rand", ">=0.10.0, <0.10.1", "RUSTSEC-2026-0097"),
    ("ring", "<0.17.12", "RUSTSEC-2025-0009"),
    ("rsa", "*", "RUSTSEC-2023-0071: timing leaks private keys"),
    ("rustls", "<0.23.45", "RUSTSEC-2024-0336, RUSTSEC-2026-0285"),
    ("rustls-pemfile", "*", "RUSTSEC-2025-0134: unmaintained"),
    (
        "rustls-webpki",
        "<0.103.13",
        "RUSTSEC-2026-0049, -0098, -0099, -0104",
    ),
    ("serde_yml", "*", "RUSTSEC-2025-0068"),
    ("slab", "=0.4.10", "RUSTSEC-2025-0047"),
    ("time", "<0.3.47", "RUSTSEC-2026-0009"),
    ("tokio", "<1.44.2", "RUSTSEC-2025-0023: broadcast channel"),
];

fn locked() -> Vec<(String, Version)> {
    let packages = Lockfile::load(kv_tests::workspace().join("Cargo.lock"))
        .expect("Cargo.lock is readable")
        .packages;
    packages
        .into_iter()
        .map(|package| (package.name.to_string(), package.version))
        .collect()
}

/// Lists which of the packages the table forbids.
fn vulnerable(packages: &[(String, Version)]) -> Vec<String> {
    let mut found = Vec::new();
    for (name, versions, why) in VULNERABLE {
        let forbidden = VersionReq::parse(versions).expect("the table holds valid ranges");
        for (_, version) in packages.iter().filter(|(package, _)| package == name) {
            if forbidden.matches(version) {
                found.push(format!("{name} {version}: {why}"));
            }
        }
    }
    found
}

#[test]
fn no_locked_crate_has_a_known_vulnerability() {
    let packages = locked();
    assert!(packages.iter().any(|(name, _)| name == "tokio"));
    assert_eq!(vulnerable(&packages), [""; 0]);
}

#[test]
fn the_table_finds_the_versions_that_it_names() {
    let package = |name: &str, version| (name.to_owned(), Version::parse(version).unwrap());
    let old = [
        package("h2", "0.4.15"),
        package("rand", "0.10.0"),
        package("rsa", "0.9.8"),
        package("slab", "0.4.10"),
    ];
    assert_eq!(vulnerable(&old).len(), old.len());
    let mended = [
        package("h2", "0.4.16"),
        package("rand", "0.9.3"),
        package("rand", "0.10.1"),
        package("slab", "0.4.11"),
    ];
    assert_eq!(vulnerable(&mended), [""; 0]);
}
