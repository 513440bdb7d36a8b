//! Object stores: from an URL and the usual environment variables to a store, and from its errors to words.
//!
//! Whatever is wrong is said in bounded time (few retries, short timeouts), with the variable that would set it right, and
//! never with the value of a secret.

use crate::error::SqlError;
use datafusion::execution::object_store::ObjectStoreUrl;
use futures::TryStreamExt;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{BackoffConfig, ObjectMeta, ObjectStore, ObjectStoreExt, RetryConfig};
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// Schemes of URLs that name object stores.
const SCHEMES: [&str; 9] = ["s3", "s3a", "gs", "gcs", "az", "azure", "adl", "abfs", "abfss"];

/// A store of objects: this machine's files, or a bucket somewhere.
#[derive(Debug)]
pub(crate) struct Store {
    /// What DataFusion knows it by.
    pub(crate) url: ObjectStoreUrl,
    /// The store.
    pub(crate) objects: Arc<dyn ObjectStore>,
}

impl Store {
    /// The files of this machine.
    pub(crate) fn local() -> Self {
        Self { url: ObjectStoreUrl::local_filesystem(), objects: Arc::new(LocalFileSystem::new()) }
    }

    /// The bucket that the URL names, configured by the environment.
    pub(crate) fn remote(url: &Url) -> Result<Self, SqlError> {
        let refused =
            |detail: String, help: &str| SqlError::Store { target: shown(url), detail, help: Some(help.to_owned()) };
        let scheme = url.scheme();
        if !SCHEMES.contains(&scheme) {
            let help = "runs are read from s3://, gs:// and az://; a local path needs no scheme";
            return Err(refused(format!("{scheme}:// is no object store"), help));
        }
        if !url.username().is_empty() || url.password().is_some() {
            let help = "set them in the environment, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
            return Err(refused("credentials do not belong into an URL, where others can see them".to_owned(), help));
        }
        let bucket = url.host_str().unwrap_or_default();
        if bucket.is_empty() {
            return Err(refused("it names no bucket".to_owned(), "write it like s3://bucket/path"));
        }
        let objects: Result<Arc<dyn ObjectStore>, object_store::Error> = match scheme {
            "s3" | "s3a" => {
                let builder = AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(retry());
                builder.build().map(|store| Arc::new(store) as _)
            }
            "gs" | "gcs" => {
                let builder = GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket).with_retry(retry());
                builder.build().map(|store| Arc::new(store) as _)
            }
            _ => {
                let builder = MicrosoftAzureBuilder::from_env().with_url(url.as_str()).with_retry(retry());
                builder.build().map(|store| Arc::new(store) as _)
            }
        };
        let objects = objects.map_err(|error| refused(cause(&error), needs(scheme)))?;
        let root = format!("{scheme}://{}", &url[url::Position::BeforeHost..url::Position::AfterPort]);
        let url = ObjectStoreUrl::parse(&root).map_err(|error| refused(error.strip_backtrace(), needs(scheme)))?;
        Ok(Self { url, objects })
    }

    /// The whole content of a small object.
    pub(crate) async fn read(&self, location: &Path) -> Result<Vec<u8>, object_store::Error> {
        Ok(self.objects.get(location).await?.bytes().await?.to_vec())
    }

    /// All objects below a path.
    pub(crate) async fn list(&self, below: &Path) -> Result<Vec<ObjectMeta>, object_store::Error> {
        self.objects.list(Some(below)).try_collect().await
    }
}

/// Few attempts: a person waits.
fn retry() -> RetryConfig {
    RetryConfig { backoff: BackoffConfig::default(), max_retries: 2, retry_timeout: Duration::from_secs(20) }
}

/// The URL without what may be secret in it.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Fails only for URLs that cannot have them.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.to_string()
}

/// An error of a store as one of ours, about this target.
pub(crate) fn failed(target: &str, error: &object_store::Error) -> SqlError {
    let scheme = target.split("://").next().unwrap_or_default();
    let (detail, help) = explain(scheme, error);
    SqlError::Store { target: target.to_owned(), detail, help }
}

/// What is wrong, and what to do about it.
pub(crate) fn explain(scheme: &str, error: &object_store::Error) -> (String, Option<String>) {
    use object_store::Error as E;
    let text = cause(error);
    let lower = text.to_lowercase();
    let is_any = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let needs = needs(scheme);
    if is_any(&["nosuchbucket", "bucket does not exist", "containernotfound"]) {
        return (
            "there is no such bucket".to_owned(),
            Some(format!("check its name, and the endpoint and region: {needs}")),
        );
    }
    if is_any(&["169.254.169.254", "metadata.google.internal", "instance metadata", "/metadata/identity"]) {
        return ("no credentials were found".to_owned(), Some(needs.to_owned()));
    }
    if is_any(&["scheme is not allowed", "http not allowed", "badscheme", "bad scheme"]) {
        let variable = if scheme.starts_with("s3") { "AWS_ALLOW_HTTP=true" } else { "AZURE_ALLOW_HTTP=true" };
        return ("the endpoint is plain http".to_owned(), Some(format!("set {variable} to allow that")));
    }
    match error {
        E::PermissionDenied { .. } | E::Unauthenticated { .. } => {
            (format!("the store refuses these credentials: {text}"), Some(needs.to_owned()))
        }
        _ if is_any(&[
            "accessdenied",
            "invalidaccesskeyid",
            "signaturedoesnotmatch",
            "403 forbidden",
            "401 unauth",
        ]) =>
        {
            (format!("the store refuses these credentials: {text}"), Some(needs.to_owned()))
        }
        E::NotFound { .. } => (format!("there is no such object: {text}"), None),
        _ if is_any(&["error sending request", "connect", "timed out", "timeout", "dns error"]) => (
            format!("the store cannot be reached: {text}"),
            Some(format!("check the network and the endpoint: {needs}")),
        ),
        _ => (text, Some(needs.to_owned())),
    }
}

/// The variables that configure a kind of store.
fn needs(scheme: &str) -> &'static str {
    match scheme {
        "s3" | "s3a" => {
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or AWS_SKIP_SIGNATURE=true for a public bucket), AWS_REGION, \
             and for a store that is not Amazon's AWS_ENDPOINT_URL, with AWS_ALLOW_HTTP=true if it is plain http"
        }
        "gs" | "gcs" => "set GOOGLE_APPLICATION_CREDENTIALS or GOOGLE_SERVICE_ACCOUNT to the file of a service account",
        _ => "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY (or AZURE_STORAGE_SAS_TOKEN)",
    }
}

/// The error with its causes, in a line, without secrets. A cause that the text before it ends with is not said again.
fn cause(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let said = source.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        next = source.source();
    }
    redact(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The text without queries of URLs (they carry signatures) and without values of variables that hold secrets.
pub(crate) fn redact(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for (at, word) in text.split(' ').enumerate() {
        if at > 0 {
            clean.push(' ');
        }
        match (word.contains("://"), word.split_once('?')) {
            (true, Some((before, query))) => {
                clean.push_str(before);
                // What closes a bracket or a sentence is no part of the URL.
                let end: Vec<char> = query.chars().rev().take_while(|c| ").,;:\"'".contains(*c)).collect();
                clean.extend(end.iter().rev());
            }
            _ => clean.push_str(word),
        }
    }
    let is_secret = |name: &str| {
        let store = ["AWS_", "AZURE_", "GOOGLE_"].iter().any(|prefix| name.starts_with(prefix));
        store && ["SECRET", "KEY", "TOKEN", "SAS", "PASSWORD"].iter().any(|word| name.contains(word))
    };
    for (name, value) in std::env::vars_os() {
        if let (true, Some(value)) =
            (is_secret(&name.to_string_lossy()), value.to_str().filter(|value| value.len() >= 4))
        {
            clean = clean.replace(value, "***");
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str) -> (String, String) {
        let error = Store::remote(&Url::parse(url).unwrap()).unwrap_err();
        (error.to_string(), error.help().unwrap().to_owned())
    }

    #[test]
    fn wrong_urls_are_refused_with_what_would_be_right() {
        let (text, help) = refusal("ftp://host/x");
        assert!(text.contains("ftp:// is no object store") && help.contains("s3://"), "{text} {help}");
        let (text, help) = refusal("s3://AKIA:hunter2@bucket/x?sig=hunter3");
        assert!(!text.contains("hunter") && !text.contains("AKIA"), "{text}");
        assert!(help.contains("AWS_SECRET_ACCESS_KEY"), "{help}");
        let (text, _) = refusal("s3:///x");
        assert!(text.contains("no bucket"), "{text}");
    }

    #[test]
    fn errors_lose_their_queries_and_keep_the_rest() {
        let text = "error for (https://a.blob/x?sv=1&sig=abc): status 403, see https://b/c?d.";
        assert_eq!(redact(text), "error for (https://a.blob/x): status 403, see https://b/c.");
        assert_eq!(redact("is it? yes"), "is it? yes");
    }

    #[test]
    fn causes_are_named_with_the_variable_that_helps() {
        let generic = |text: &str| object_store::Error::Generic { store: "S3", source: text.to_owned().into() };
        for (text, detail, help) in [
            ("<Code>NoSuchBucket</Code>", "no such bucket", "AWS_ENDPOINT_URL"),
            ("GET http://169.254.169.254/latest: connect", "no credentials", "AWS_ACCESS_KEY_ID"),
            ("URL scheme is not allowed", "plain http", "AWS_ALLOW_HTTP=true"),
            ("tcp connect error", "cannot be reached", "AWS_ENDPOINT_URL"),
            ("status 403 Forbidden: InvalidAccessKeyId", "refuses these credentials", "AWS_SECRET_ACCESS_KEY"),
        ] {
            let (said, helped) = explain("s3", &generic(text));
            assert!(said.contains(detail), "{text}: {said}");
            assert!(helped.unwrap().contains(help), "{text}");
        }
    }
}
