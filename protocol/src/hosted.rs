//! The wire of hosted teleoperation: a robot and operators far away, a broker that introduces them, and an SFU between.
