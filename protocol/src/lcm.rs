//! LCM encoding: fingerprints from type descriptions, and the messages that hosted teleoperation sends.
