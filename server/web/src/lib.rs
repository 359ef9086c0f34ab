//! Sessions, sign-in, security headers, server-sent events, WebSockets.
