//! What must hold for any message of an answer of series.

use bytes::Bytes;
use thanoxide_storeapi::{SeriesFrame, frame_from_message, frame_to_messages};

/// Messages are decoded or refused; what is written again says the same.
pub fn decode(data: &[u8]) {
    let Ok(Some(frame)) = frame_from_message(&Bytes::copy_from_slice(data)) else { return };
    let messages = frame_to_messages(&frame, 64).expect("only what the wire knows came in");
    let again = messages.iter().map(|message| frame_from_message(message).expect("our own message"));
    let again: Vec<SeriesFrame> = again.map(|frame| frame.expect("not without content")).collect();
    match frame {
        SeriesFrame::Warning(_) => assert_eq!(again, [frame]),
        SeriesFrame::Series(series) => {
            let again = again.into_iter().flat_map(|frame| match frame {
                SeriesFrame::Series(series) => series,
                SeriesFrame::Warning(text) => panic!("a warning of series: {text}"),
            });
            assert!(again.eq(series));
        }
    }
}
