//! The shortest test of a whole device; the README quotes it.

use device_sdk::clock::std_clock::block_on;
use device_sdk::{Device, Memory};
use host_tests::{scratch::Scratch, simulator};
use identity_core::session::MqttVersion::V5;

#[test]
fn a_device_enrols_once_and_publishes_at_every_boot() {
    let (plant, folder) = (simulator::plant(), Scratch::new());
    let config = simulator::config(&plant, "pump-7", V5);
    for _boot in 1..=2 {
        let board = host::init(&folder.path().join("flash.bin")).expect("a board");
        let mut memory: Memory = Memory::new();
        let mut device = Device::new(config, &mut memory, board);
        let life = async {
            let mut link = device.online().await?;
            link.publish("devices/pump-7/flow", b"17 l/min").await?;
            link.disconnect().await
        };
        block_on(life).expect("an acknowledged publish");
        assert_eq!(plant.est().enrolments().len(), 1);
    }
}
