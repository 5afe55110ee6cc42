//! Flags of `receive` that are keys of Prometheus's `otlp` configuration and not in Thanos.

use crate::flag::{FlagDef, Kind};

pub(super) const FLAGS: &[FlagDef] = &[
    FlagDef::new(
        "receive.otlp-translation-strategy",
        Kind::Enum(&[
            "UnderscoreEscapingWithSuffixes",
            "UnderscoreEscapingWithoutSuffixes",
            "NoUTF8EscapingWithSuffixes",
            "NoTranslation",
        ]),
        "How names of OTLP become names here, as Prometheus's translation_strategy says. Not in Thanos.",
    )
    .default(&["UnderscoreEscapingWithSuffixes"]),
    FlagDef::new(
        "receive.otlp-promote-all-resource-attributes",
        Kind::Bool,
        "All attributes of OTLP resources become labels of their series. Not in Thanos.",
    ),
    FlagDef::new(
        "receive.otlp-ignore-resource-attributes",
        Kind::Text,
        "Attribute of OTLP resources that does not become a label where all others do (repeatable). Not in Thanos.",
    )
    .repeatable(),
    FlagDef::new(
        "receive.otlp-keep-identifying-resource-attributes",
        Kind::Bool,
        "The target_info of OTLP has service.name, service.namespace and service.instance.id as well. Not in Thanos.",
    ),
    FlagDef::new(
        "receive.otlp-promote-scope-metadata",
        Kind::Bool,
        "Name, version, schema URL and attributes of OTLP scopes become labels of their series. Not in Thanos.",
    ),
    FlagDef::new(
        "receive.otlp-convert-histograms-to-nhcb",
        Kind::Bool,
        "Explicit histograms of OTLP become native histograms with custom buckets. Not in Thanos.",
    ),
    FlagDef::new(
        "receive.otlp-native-delta-ingestion",
        Kind::Bool,
        "Takes OTLP metrics of delta temporality as they are. Not in Thanos.",
    ),
    FlagDef::new(
        "receive.otlp-label-name-underscore-sanitization",
        Kind::Bool,
        "Labels of OTLP that begin with one underscore get 'key' before it. Not in Thanos.",
    ),
    FlagDef::new(
        "receive.otlp-label-name-preserve-multiple-underscores",
        Kind::Bool,
        "Several underscores in names of OTLP labels stay several. Not in Thanos.",
    ),
];
