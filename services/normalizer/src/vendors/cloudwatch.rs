//! Amazon CloudWatch alarms: in the envelope of Amazon SNS, as SNS delivers them raw, and as events of Amazon
//! EventBridge.
//!
//! From the Amazon SNS Developer Guide, "Parsing Amazon SNS message formats" and "Raw message delivery"; the
//! Amazon CloudWatch User Guide, "Alarm events and EventBridge" and "Notifying users on alarm changes"; the AWS
//! Lambda Developer Guide, "Using Lambda with Amazon SNS" for a list of `Records`.
//!
//! An alarm says nothing of severity: tell it in a rule, by the alarm's name.

use prunella_schemas::{AlertStatus, CowStr, Severity};
use prunella_stream::Rejection;

use super::{Vendor, not_an_alert, unexpected};
use crate::draft::{Batch, Draft, Times};
use crate::format::Format;
use crate::labels::{LabelMap, first};
use crate::object::Object;
use crate::{time, words};

pub(crate) static FORMAT: Format = Format {
    name: "cloudwatch",
    about: "Amazon CloudWatch alarms, by Amazon SNS (enveloped or raw) or Amazon EventBridge",
    documentation: "Amazon SNS Developer Guide: Parsing message formats; Amazon CloudWatch User Guide: Alarm events",
    recognised_by: "`AlarmName`; SNS: `Message`; EventBridge: `detail.alarmName`; Lambda: `Records`",
    required: &[
        "AlarmName",
        "Message",
        "detail.alarmName",
        "Records.*.Sns.Message",
    ],
    severities: &[("INSUFFICIENT_DATA", Severity::Warning)],
    statuses: &[
        ("ALARM", AlertStatus::Firing),
        ("INSUFFICIENT_DATA", AlertStatus::Firing),
        ("OK", AlertStatus::Resolved),
    ],
    source: Some(&VENDOR),
};
static VENDOR: Vendor = Vendor {
    name: "cloudwatch",
    order: &[
        "AlarmName",
        "Message>AlarmName",
        "detail.alarmName",
        "Records.0.Sns.Message>AlarmName",
    ],
    read,
};

/// Dimensions that name what is concerned, the surest first.
const SERVICE: &[&str] = &[
    "ServiceName",
    "Service",
    "FunctionName",
    "DBInstanceIdentifier",
    "DBClusterIdentifier",
    "QueueName",
    "TableName",
    "ApiName",
    "TargetGroup",
    "LoadBalancer",
    "LoadBalancerName",
    "CacheClusterId",
    "TopicName",
    "BucketName",
    "AutoScalingGroupName",
];

fn read<'a>(mut root: Object<'a>, batch: &mut Batch<'a>) -> Result<(), Rejection> {
    if let Some(records) = root.list("Records") {
        for record in records {
            let mut record = Object::of(record)
                .ok_or_else(|| unexpected("cloudwatch", "has a record that is no object"))?;
            let mut message = record.object("Sns");
            message.adopt(record);
            message.adopt(root.clone());
            read(message, batch)?;
        }
        return Ok(());
    }
    match root.said("Type").as_deref() {
        Some("SubscriptionConfirmation") => Err(not_an_alert(
            "a request of Amazon SNS to confirm a subscription",
            "confirm it by opening its SubscribeURL, if the TopicArn is yours",
        )),
        Some("UnsubscribeConfirmation") => Err(not_an_alert(
            "Amazon SNS saying that a subscription has ended",
            "subscribe again if nobody meant that",
        )),
        _ if root.has("AlarmName") => alarm(root, batch),
        _ if root.nests("detail") => event(root, batch),
        _ => enveloped(root, batch),
    }
}

fn enveloped<'a>(mut root: Object<'a>, batch: &mut Batch<'a>) -> Result<(), Rejection> {
    let message = root.said("Message");
    let mut message = message
        .and_then(|text| Object::nested(&text))
        .ok_or_else(|| {
            unexpected(
                "cloudwatch",
                "holds no alarm (`AlarmName`) and no message with one",
            )
        })?;
    root.forget(&[
        "Message",
        "Type",
        "Signature",
        "SignatureVersion",
        "SigningCertURL",
    ]);
    root.forget(&[
        "UnsubscribeURL",
        "SigningCertUrl",
        "UnsubscribeUrl",
        "Timestamp",
    ]);
    message.adopt(root);
    match message {
        alarmed if alarmed.has("AlarmName") => alarm(alarmed, batch),
        event_like if event_like.nests("detail") => event(event_like, batch),
        _ => Err(unexpected(
            "cloudwatch",
            "has a message of SNS that is about no alarm",
        )),
    }
}

/// The message of a notification.
fn alarm<'a>(mut root: Object<'a>, batch: &mut Batch<'a>) -> Result<(), Rejection> {
    let name = root.word("AlarmName");
    let name = name.ok_or_else(|| unexpected("cloudwatch", "has no `AlarmName`"))?;
    let state = root.said("NewStateValue").map(|word| word.into_owned());
    let changed = root.time("StateChangeTime");
    let mut trigger = root.object("Trigger");
    let mut draft = Draft {
        labels: trigger.labels("Dimensions"),
        value: root
            .said("NewStateReason")
            .and_then(|text| in_reason(&text)),
        description: root.word("AlarmDescription"),
        ..Draft::default()
    };
    draft.label("namespace", trigger.word("Namespace"));
    draft.label("metric_name", trigger.word("MetricName"));
    trigger.keep_as("Trigger", &mut draft);
    let arn = root.word("AlarmArn");
    let account = root.word("AWSAccountId");
    finish(
        draft,
        batch,
        root,
        About {
            name,
            arn,
            account,
            region: None,
            state,
            changed,
        },
    )
}

/// An event of EventBridge.
fn event<'a>(mut root: Object<'a>, batch: &mut Batch<'a>) -> Result<(), Rejection> {
    let mut detail = root.object("detail");
    let name = detail.word("alarmName").ok_or_else(|| {
        unexpected(
            "cloudwatch",
            "is an event of EventBridge without `detail.alarmName`",
        )
    })?;
    let state = detail.said("state.value").map(|word| word.into_owned());
    let changed = detail
        .said("state.timestamp")
        .and_then(|text| time::parse(&text));
    let reason = detail.said("state.reason").map(|text| text.into_owned());
    let mut configuration = detail.object("configuration");
    let metric = "metrics.0.metricStat.metric";
    let dimension = |path: &str| {
        configuration
            .said(&format!("{metric}.{path}"))
            .map(|word| word.into_owned())
    };
    let (namespace, metric_name) = (dimension("namespace"), dimension("name"));
    let labels = dimensions(&configuration);
    let mut draft = Draft {
        labels,
        value: reason.as_deref().and_then(in_reason),
        description: configuration.word("description"),
        ..Draft::default()
    };
    draft.label("namespace", namespace);
    draft.label("metric_name", metric_name);
    draft.keep("NewStateReason", reason.unwrap_or_default());
    configuration.keep_as("configuration", &mut draft);
    detail.keep_as("detail", &mut draft);
    let arn = root.said("resources.0").map(|arn| arn.into_owned().into());
    let about = About {
        name,
        arn,
        account: root.word("account"),
        region: root.word("region"),
        state,
        changed: changed.or_else(|| root.time("time")),
    };
    finish(draft, batch, root, about)
}

fn dimensions<'a>(configuration: &Object<'a>) -> LabelMap<'a> {
    let mut metrics = configuration.clone().list("metrics").unwrap_or_default();
    if metrics.is_empty() {
        return LabelMap::new();
    }
    let first = Object::of(metrics.swap_remove(0)).unwrap_or_default();
    let mut metric = first.clone().object("metricStat").object("metric");
    metric.labels("dimensions")
}

/// What both forms say of an alarm.
struct About<'a> {
    name: CowStr<'a>,
    arn: Option<CowStr<'a>>,
    account: Option<CowStr<'a>>,
    region: Option<CowStr<'a>>,
    state: Option<String>,
    changed: Option<i64>,
}

fn finish<'a>(
    mut draft: Draft<'a>,
    batch: &mut Batch<'a>,
    rest: Object<'a>,
    about: About<'a>,
) -> Result<(), Rejection> {
    let state = about.state.unwrap_or_default();
    // arn:aws:cloudwatch:REGION:ACCOUNT:alarm:NAME
    let part = |at: usize| Some(about.arn.as_deref()?.split(':').nth(at)?.to_owned().into());
    let region: Option<CowStr<'_>> = about.region.or_else(|| part(3));
    let account: Option<CowStr<'_>> = about.account.or_else(|| part(4));
    let place = [&account, &region].map(|part| part.as_deref().unwrap_or_default());
    draft.fingerprint = batch.series(&[place[0], place[1], &about.name]);
    draft.name = about.name;
    draft.status = FORMAT.status(&state).unwrap_or_default();
    draft.severity =
        Some(FORMAT.severity(&state)).filter(|_| state.eq_ignore_ascii_case("INSUFFICIENT_DATA"));
    draft.times = match draft.status {
        AlertStatus::Firing => Times {
            starts: about.changed,
            ..Times::default()
        },
        AlertStatus::Resolved => Times {
            ends: about.changed,
            ..Times::default()
        },
    };
    draft.service = first(&draft.labels, SERVICE);
    draft.host = first(&draft.labels, &["InstanceId", "Host", "host"]);
    draft.domain = first(&draft.labels, &["ClusterName"]);
    draft.label("aws_account", account);
    draft.label("aws_region", region);
    draft.keep("AlarmArn", about.arn.unwrap_or_default());
    rest.keep(&mut draft);
    batch.push(draft)
}

/// The newest value in a reason: `Threshold Crossed: 1 datapoint [93.5 (01/02/24 11:55:00)] was ...`.
fn in_reason(reason: &str) -> Option<f64> {
    let (_, rest) = reason.split_once('[')?;
    words::number(rest.split([' ', ',', ']']).next()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_value_is_the_first_in_the_reason() {
        for (reason, value) in [
            (
                "Threshold Crossed: 2 datapoints [93.5 (01/02/24 11:55:00), 88 (x)] were",
                Some(93.5),
            ),
            ("Threshold Crossed: no datapoints were received", None),
            ("[]", None),
        ] {
            assert_eq!(in_reason(reason), value, "{reason}");
        }
    }
}
