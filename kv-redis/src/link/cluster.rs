//! [`Cluster`]: nodes that share the keys out among them by slots.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::select_ok;
use kv_core::{Error, Result};
use redis::{Client, Cmd, ConnectionAddr, ConnectionInfo, Pipeline, Value};
use tokio::time::Instant;

use super::slots::{self, Slots};
use super::{Dial, Limits, Node};
use crate::error::{Address, Failure, Kind, STORE, unavailable};

/// The nodes of a cluster, and what is known of who has which slots.
///
/// The driver has a connection to clusters too. That does not tell whether a request that failed
/// was sent, which is what a conditional write must know.
pub(crate) struct Cluster {
    /// How to log in to any node. Its address is replaced.
    template: ConnectionInfo,
    seeds: Vec<Address>,
    limits: Limits,
    policy_checked: Arc<AtomicBool>,
    known: Mutex<Known>,
    /// Held while the slots are asked for.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    nodes: HashMap<Address, Arc<Node>>,
    /// `None` when they have to be asked for.
    slots: Option<Arc<Slots>>,
    /// The slots of before, for the nodes that may be asked.
    former: Arc<Slots>,
}

impl Cluster {
    pub(crate) fn new(template: ConnectionInfo, seeds: Vec<Address>, limits: Limits) -> Self {
        Self {
            template,
            seeds,
            limits,
            policy_checked: Arc::default(),
            known: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
        }
    }

    /// Sends `request` once to the node that has `slot`, or is about to have it.
    pub(crate) async fn attempt(
        &self,
        slot: u16,
        request: &Cmd,
        deadline: Instant,
    ) -> Result<Value, Failure> {
        let (slots, node) = self.find(slot, deadline).await?;
        match node.attempt(request, deadline).await {
            Err(failure) => self.heed(&slots, slot, request, deadline, failure).await,
            answered => answered,
        }
    }

    /// Does the same with a request that only reads, together with others'.
    pub(crate) async fn read(
        &self,
        slot: u16,
        request: &Cmd,
        deadline: Instant,
    ) -> Result<Value, Failure> {
        let (slots, node) = self.find(slot, deadline).await?;
        match node.read(request, deadline).await {
            Err(failure) => self.heed(&slots, slot, request, deadline, failure).await,
            answered => answered,
        }
    }

    /// Returns the node that has `slot`, and according to what.
    async fn find(&self, slot: u16, deadline: Instant) -> Result<(Arc<Slots>, Arc<Node>), Failure> {
        let slots = self.slots(deadline).await?;
        let Some(address) = slots.master(slot) else {
            self.forget(&slots);
            let error = unavailable("no node of the cluster has the key's slot", None);
            return Err(Failure::not_sent(error));
        };
        let node = self.node(address)?;
        Ok((slots, node))
    }

    /// Learns from a failure, and goes where the node says that the key is about to be.
    async fn heed(
        &self,
        slots: &Arc<Slots>,
        slot: u16,
        request: &Cmd,
        deadline: Instant,
        failure: Failure,
    ) -> Result<Value, Failure> {
        let asked = slots.master(slot).map_or("", |(host, _)| host);
        let named = |(host, port): &Address| (slots::host(host, asked).to_owned(), *port);
        match &failure.kind {
            Kind::Moved(to) => {
                // The node that has it knows best; when it does not answer, any other is asked.
                if let Ok(asked) = self.ask(&named(to), deadline).await {
                    self.learn(asked);
                } else {
                    self.forget(slots);
                }
            }
            Kind::Ask(to) => return self.attempt_asking(&named(to), request, deadline).await,
            Kind::NotApplied | Kind::ReadOnly | Kind::Lost => self.forget(slots),
            Kind::WrongType | Kind::NoScript | Kind::Refused => {}
        }
        Err(failure)
    }

    /// Returns the lowest slot of each node, in ascending order.
    pub(crate) async fn parts(&self, deadline: Instant) -> Result<Vec<u16>, Failure> {
        Ok(self.slots(deadline).await?.parts())
    }

    /// Asks for the masters, whatever is known of them.
    pub(crate) async fn masters(&self, deadline: Instant) -> Result<BTreeSet<Address>, Failure> {
        Ok(self.ask_any(deadline).await?.masters())
    }

    /// Returns the way to a node, for a connection of another use.
    pub(crate) fn dial(&self, address: &Address) -> Result<Arc<Dial>, Failure> {
        Ok(self.node(address)?.dial())
    }

    /// Sends `request` once to a node that is taking over the key's slot.
    async fn attempt_asking(
        &self,
        address: &Address,
        request: &Cmd,
        deadline: Instant,
    ) -> Result<Value, Failure> {
        let mut pipeline = Pipeline::with_capacity(2);
        pipeline.cmd("ASKING").add_command(request.clone());
        let answers = self.node(address)?.attempt_all(&pipeline, deadline).await?;
        answers
            .into_iter()
            .last()
            .unwrap_or_else(|| Err(Failure::nonsense()))
    }

    /// Returns who has which slots, and asks for it when that is not known.
    async fn slots(&self, deadline: Instant) -> Result<Arc<Slots>, Failure> {
        if let Some(slots) = &self.known().slots {
            return Ok(Arc::clone(slots));
        }
        let Ok(_asking) = tokio::time::timeout_at(deadline, self.asking.lock()).await else {
            let error = unavailable("the cluster did not tell its slots in time", None);
            return Err(Failure::not_sent(error));
        };
        if let Some(slots) = &self.known().slots {
            return Ok(Arc::clone(slots));
        }
        self.ask_any(deadline).await
    }

    /// Asks the nodes who has which slots, and believes the first that answers.
    async fn ask_any(&self, deadline: Instant) -> Result<Arc<Slots>, Failure> {
        let mut candidates: Vec<Address> = self.known().former.nodes().cloned().collect();
        candidates.extend_from_slice(&self.seeds);
        candidates.sort_unstable();
        candidates.dedup();
        let asked = candidates
            .iter()
            .map(|address| Box::pin(self.ask(address, deadline)));
        let (slots, _) = select_ok(asked).await?;
        Ok(self.learn(slots))
    }

    /// Asks a node who has which slots. Whatever comes of it, no request was sent.
    async fn ask(&self, address: &Address, deadline: Instant) -> Result<Slots, Failure> {
        let mut question = redis::cmd("CLUSTER");
        question.arg("SLOTS");
        let answer = self.node(address)?.attempt(&question, deadline).await;
        let answer = answer.map_err(|failure| match failure.error {
            Error::Timeout { after } => {
                let reason = format!("a node of the cluster did not answer within {after:?}");
                Failure::not_sent(unavailable(reason, None))
            }
            error => Failure::not_sent(error),
        })?;
        let slots = Slots::read(&answer, &address.0)
            .ok_or_else(|| Failure::not_sent(Failure::nonsense().error))?;
        if slots.is_empty() {
            let error = unavailable("a node knows of no slots of the cluster", None);
            return Err(Failure::not_sent(error));
        }
        Ok(slots)
    }

    fn learn(&self, slots: Slots) -> Arc<Slots> {
        let slots = Arc::new(slots);
        let mut known = self.known();
        let seeds = &self.seeds;
        known
            .nodes
            .retain(|address, _| seeds.contains(address) || slots.nodes().any(|n| n == address));
        known.former = Arc::clone(&slots);
        known.slots = Some(Arc::clone(&slots));
        slots
    }

    /// Has the slots asked for before the next request, unless newer ones are known by now.
    fn forget(&self, slots: &Arc<Slots>) {
        let mut known = self.known();
        if known
            .slots
            .as_ref()
            .is_some_and(|now| Arc::ptr_eq(now, slots))
        {
            known.slots = None;
        }
    }

    fn node(&self, address: &Address) -> Result<Arc<Node>, Failure> {
        let mut known = self.known();
        if let Some(node) = known.nodes.get(address) {
            return Ok(Arc::clone(node));
        }
        let (host, port) = address.clone();
        let addr = match self.template.addr() {
            ConnectionAddr::TcpTls {
                insecure,
                tls_params,
                ..
            } => ConnectionAddr::TcpTls {
                host,
                port,
                insecure: *insecure,
                tls_params: tls_params.clone(),
            },
            _ => ConnectionAddr::Tcp(host, port),
        };
        let client = Client::open(self.template.clone().set_addr(addr)).map_err(|error| {
            Failure::not_sent(Error::backend(STORE, "use a node's address", error))
        })?;
        let policy_checked = Arc::clone(&self.policy_checked);
        let node = Arc::new(Node::new(Dial::Direct(client), self.limits, policy_checked));
        known.nodes.insert(address.clone(), Arc::clone(&node));
        Ok(node)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // No code panics while it holds the lock.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
