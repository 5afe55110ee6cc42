//! Matchers.

use bytes::Bytes;
use thanoxide_model::{MatchKind, Matcher};
use thanoxide_proto::thanos;
use thanoxide_proto::thanos::label_matcher::Type;

use crate::StoreError;

pub(crate) fn to_proto(matchers: &[Matcher]) -> Vec<thanos::LabelMatcher> {
    let matcher = |m: &Matcher| thanos::LabelMatcher {
        r#type: match m.kind() {
            MatchKind::Equal => Type::Eq,
            MatchKind::NotEqual => Type::Neq,
            MatchKind::Regexp => Type::Re,
            MatchKind::NotRegexp => Type::Nre,
        }
        .into(),
        name: Bytes::copy_from_slice(m.name()),
        value: Bytes::copy_from_slice(m.value()),
    };
    matchers.iter().map(matcher).collect()
}

pub(crate) fn from_proto(matchers: &[thanos::LabelMatcher]) -> Result<Vec<Matcher>, StoreError> {
    matchers.iter().map(one).collect()
}

fn one(matcher: &thanos::LabelMatcher) -> Result<Matcher, StoreError> {
    let invalid = |e: String| StoreError::InvalidArgument(format!("matcher on {:?}: {e}", matcher.name));
    let kind = match Type::try_from(matcher.r#type).map_err(|e| invalid(e.to_string()))? {
        Type::Eq => MatchKind::Equal,
        Type::Neq => MatchKind::NotEqual,
        Type::Re => MatchKind::Regexp,
        Type::Nre => MatchKind::NotRegexp,
    };
    Matcher::new(kind, &matcher.name, &matcher.value).map_err(|e| invalid(e.to_string()))
}
