//! The body of a request that may change its target: it asks the guard at the last moment there is.
//!
//! hyper's task for a connection takes a request up when it is scheduled, which under load is milliseconds after
//! the client was handed it, and later still in a process that was stopped meanwhile. For HTTP/1.1 the task then,
//! without giving way in between,
//! 1. asks the body whether it is at its end already, and how long it is;
//! 2. puts the head into its buffer: with `Content-Length` if the length is known, and as the whole request if the
//!    body was at its end;
//! 3. polls the body, unless it was at its end, and puts what it gives into the buffer;
//! 4. writes the buffer. A body that errs ends the connection before that, and its error is the request's.
//!
//! So a body with bytes asks at 3. One without is never polled and asks at 1: while the guard says no it is not at
//! its end, since an error is still to come, and claims a length, since hyper polls no body of length zero; that
//! head is never written. With TLS it is the same, one layer above: nothing of the request has been encrypted.
//! With HTTP/2 a head is sent before its body is asked for, so the clients speak HTTP/1.1 only.
//!
//! Two things remain. A process stopped after the guard's last yes and before the write still sends; so does one
//! that waits for a full socket to take the bytes. And a head of more than 400 KiB is written before the body is
//! polled: its body is not, so the request is never whole, but its outcome says that nothing was sent.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use http_body::{Body as HttpBody, Frame, SizeHint};
use reqwest::{Body, Request};
use tower::BoxError;

use crate::guards::{Guard, Hindrance};

/// Has the request's body ask the guard.
pub(crate) fn guard_body(request: &mut Request, guard: &Arc<Guard>) {
    let inner = request.body_mut().take().unwrap_or_default();
    *request.body_mut() = Some(Body::wrap(GuardedBody {
        inner,
        guard: Arc::clone(guard),
        begun: false,
        hindrance: OnceLock::new(),
    }));
}

struct GuardedBody {
    inner: Body,
    guard: Arc<Guard>,
    /// True once bytes were let go: what is begun is finished.
    begun: bool,
    /// The guard's first no. It stays: a head that was made for it must not be sent.
    hindrance: OnceLock<Hindrance>,
}

impl GuardedBody {
    fn ask(&self) -> Result<(), Hindrance> {
        if let Some(hindrance) = self.hindrance.get() {
            return Err(hindrance.clone());
        }
        self.guard.check().inspect_err(|hindrance| {
            let _ = self.hindrance.set(hindrance.clone());
        })
    }
}

impl HttpBody for GuardedBody {
    type Data = <Body as HttpBody>::Data;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, BoxError>>> {
        if !self.begun {
            if let Err(hindrance) = self.ask() {
                return Poll::Ready(Some(Err(hindrance.into())));
            }
            self.begun = true;
        }
        let frame = Pin::new(&mut self.inner).poll_frame(context);
        frame.map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream() && (self.begun || self.ask().is_ok())
    }

    fn size_hint(&self) -> SizeHint {
        match self.hindrance.get() {
            Some(_) => SizeHint::with_exact(1),
            None => self.inner.size_hint(),
        }
    }
}
