//! A client without a connection.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, Response};
use tower::ServiceExt;

use super::{INITIALIZE, INITIALIZED};

/// A client inside the process, so that time can be stepped.
pub(super) struct InProcess(pub(super) Router);

impl InProcess {
    pub(super) async fn post(&self, body: &str, session: Option<&str>) -> Response<Body> {
        let mut request = Request::post("/mcp")
            .header("host", "localhost")
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream");
        if let Some(id) = session {
            request = request.header("mcp-session-id", id);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        self.0.clone().oneshot(request).await.unwrap()
    }

    pub(super) async fn initialize(&self) -> String {
        let response = self.post(INITIALIZE, None).await;
        assert_eq!(response.status(), 200);
        let id = response.headers()["mcp-session-id"]
            .to_str()
            .unwrap()
            .to_owned();
        to_bytes(response.into_body(), usize::MAX).await.unwrap();
        id
    }

    pub(super) async fn open(&self) -> String {
        let id = self.initialize().await;
        assert_eq!(self.post(INITIALIZED, Some(&id)).await.status(), 202);
        id
    }

    pub(super) async fn ping(&self, id: &str) -> Response<Body> {
        let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        self.post(ping, Some(id)).await
    }
}
