//! The cluster example: several instances behind a load balancer, one of which is killed again and
//! again.

use std::process::Command;

use kv_tests::services::redis;
use tokio::task;

use crate::server_process::example;

#[tokio::test]
async fn what_a_client_was_told_outlives_every_instance() {
    let storage = redis().await;
    let run = task::spawn_blocking(move || {
        Command::new(example("cluster"))
            .args(["--storage", storage, "--calls", "4000", "--clients", "16"])
            .args(["--kill-every", "700"])
            .output()
            .unwrap()
    });
    let output = run.await.unwrap();
    let (said, errors) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{said}{errors}");
    assert!(said.contains("calls          4000 in"), "{said}");
}
