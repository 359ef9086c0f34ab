//! REST v1 and its OpenAPI document.
