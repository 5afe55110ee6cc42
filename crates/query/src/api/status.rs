//! What the process is and how it was started.

use std::sync::Arc;

use thanoxide_server::http::State;

use crate::api::answer::Answer;
use crate::json::push_string;
use crate::service::QueryService;

/// `/api/v1/status/buildinfo`: the version is Thanoxide's; Grafana reads it to choose what it may ask.
pub async fn build_info() -> Answer {
    Answer::new(format!(
        "{{\"version\":\"{}\",\"revision\":\"\",\"branch\":\"\",\"buildUser\":\"\",\"buildDate\":\"\",\"goVersion\":\"\"}}",
        env!("CARGO_PKG_VERSION")
    ))
}

/// `/api/v1/status/flags`: every flag with its value.
pub async fn flags(State(service): State<Arc<QueryService>>) -> Answer {
    let mut data = String::from("{");
    for (index, (name, value)) in service.config().flags.iter().enumerate() {
        data.push_str(if index > 0 { "," } else { "" });
        push_string(&mut data, name.as_bytes());
        data.push(':');
        push_string(&mut data, value.as_bytes());
    }
    data.push('}');
    Answer::new(data)
}

/// `/api/v1/status/runtimeinfo`: the names are Go's; threads stand in for what Go schedules on.
pub async fn runtime_info(State(service): State<Arc<QueryService>>) -> Answer {
    let directory = std::env::current_dir().unwrap_or_default();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut data = String::from("{\"startTime\":");
    push_string(&mut data, service.started().as_bytes());
    data.push_str(",\"CWD\":");
    push_string(&mut data, directory.to_string_lossy().as_bytes());
    data.push_str(&format!(
        ",\"goroutineCount\":0,\"GOMAXPROCS\":{threads},\"GOGC\":\"\",\"GODEBUG\":\"\",\"GOMEMLIMIT\":0}}"
    ));
    Answer::new(data)
}
