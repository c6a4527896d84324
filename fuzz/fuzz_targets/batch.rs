//! Decodes a spool file: any bytes are a batch or are refused, and a decoded batch survives another round trip.

#![no_main]

use gridmon::spool::{Batch, Unreadable};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    look_at(data);
    // With the right checksum; otherwise the decoder would never reach the content.
    let mut bytes = format!("gridmon-batch 1 {:08x} ", crc32fast::hash(data)).into_bytes();
    bytes.extend_from_slice(data);
    look_at(&bytes);
});

fn look_at(bytes: &[u8]) {
    match Batch::decode(bytes) {
        Ok(batch) => {
            for point in &batch.points {
                assert_eq!(point.fault(), None, "{}", point.line());
            }
            let again = batch.encode().expect("what was read is not too large to be written");
            let again = Batch::decode(&again).expect("what was written can be read");
            assert_eq!(again, batch);
        }
        Err(Unreadable::Newer(version)) => assert!(version > 1),
        Err(Unreadable::Bad(why)) => assert!(!why.is_empty()),
    }
}
