//! Three instances of a server on one store behind a load balancer, under load, while one of them is
//! killed every second.
//!
//! ```sh
//! cargo run --release -p mcp-server --features redis --example cluster -- --storage redis://localhost
//! ```
//!
//! It reports what was lost, and ends with an error if that is anything but the calls that were under
//! way on an instance when it was killed. With `--serve` it runs the cluster for other clients instead.

#![expect(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "it reports to who has started it"
)]

mod balancer;
mod instance;
mod load;

use std::time::Duration;

use clap::Parser;
use mcp_server::BoxError;

use self::balancer::Balancer;
use self::instance::Instances;

/// Three instances of a server on one store, one of which is killed every second.
#[derive(Debug, Parser)]
struct Options {
    /// Where the instances keep everything: a store that they can share
    #[arg(long, env = "MCP_STORAGE", default_value = "disk:data?shared")]
    storage: String,

    /// How many instances there are
    #[arg(long, default_value_t = 3)]
    instances: usize,

    /// How many calls are made
    #[arg(long, default_value_t = 100_000)]
    calls: u64,

    /// How many clients make them, each in a session of its own
    #[arg(long, default_value_t = 32)]
    clients: u64,

    /// After how many milliseconds the next instance is killed; 0 for never
    #[arg(long, default_value_t = 1_000)]
    kill_every: u64,

    /// The port of the load balancer; 0 for any
    #[arg(long, default_value_t = 0)]
    port: u16,

    /// Serve other clients, and make no calls
    #[arg(long)]
    serve: bool,

    /// Be one of the instances
    #[arg(long, hide = true)]
    instance: bool,
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let options = Options::parse();
    if options.instance {
        return Ok(instance::serve(&options.storage).await?);
    }
    let instances = Instances::start(options.instances, &options.storage).await?;
    let balancer = Balancer::start(instances.addresses(), options.port).await?;
    println!("the cluster listens on {}", balancer.url());
    let killing = {
        let every = Duration::from_millis(options.kill_every);
        tokio::spawn(instances.kill_one_every(every, balancer.clone()))
    };
    if options.serve {
        killing.await??;
        return Ok(());
    }
    let report = load::run(&balancer, options.clients, options.calls).await;
    killing.abort();
    println!("{report}");
    if report.is_clean() {
        Ok(())
    } else {
        Err("something was lost".into())
    }
}
