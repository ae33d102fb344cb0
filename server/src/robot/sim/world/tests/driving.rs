//! The world while its robot drives.

use super::*;

impl Bench {
    /// Drives for so long, then stands.
    fn drive(&mut self, command: BaseCommand, seconds: f64) {
        self.command.base = Some(command);
        self.run(seconds);
        self.command.base = Some(BaseCommand::default());
    }

    fn held_at(&self) -> Transform {
        self.world.gripper(LEFT).inverse() * self.world.objects()[RED_CUBE].at
    }
}

fn ahead(vx: f64) -> BaseCommand {
    BaseCommand { vx, ..BaseCommand::default() }
}

#[test]
fn arms_ride_on_the_base_and_move_in_the_world_only() {
    let mut bench = Bench::new();
    bench.tick();
    let (own, before) = (bench.world.arms()[LEFT].frames().gripper(), bench.world.gripper(LEFT));
    assert_eq!(own, before, "base and world are one at first");
    bench.drive(BaseCommand { vx: -0.2, vy: 0.1, wz: 0.0, lift: 0.1 }, 1.0);
    assert_eq!(bench.world.arms()[LEFT].frames().gripper(), own);
    let moved = bench.world.gripper(LEFT).translation - before.translation;
    assert!(moved.distance(DVec3::new(-0.2, 0.1, 0.1)) < 1e-6, "{moved}");
    assert_eq!(bench.world.foot().translation.z, 0.0);

    bench.drive(BaseCommand { wz: 0.5, ..BaseCommand::default() }, 1.0);
    let turned = bench.world.base() * own;
    assert!((turned.rotation.angle_between(before.rotation) - 0.5).abs() < 1e-6);
    assert_eq!(bench.world.gripper(LEFT), turned);
}

#[test]
fn a_cube_is_carried_away_while_driving_turning_and_lifting_and_falls_to_the_floor_there() {
    let mut bench = Bench::holding_the_red_cube();
    let (in_gripper, start) = (bench.held_at(), bench.object(RED_CUBE));
    bench.drive(BaseCommand { vx: -0.4, vy: 0.1, wz: 0.5, lift: 0.1 }, 1.5);
    let carried = bench.held_at();
    assert!(carried.translation.distance(in_gripper.translation) < 1e-9);
    assert!(carried.rotation.angle_between(in_gripper.rotation) < 1e-6);
    let expected = bench.world.base().point(start);
    assert!(bench.object(RED_CUBE).distance(expected) < 1e-3, "{} {expected}", bench.object(RED_CUBE));
    assert!(expected.distance(start) > 0.5, "that is another place");

    bench.gripper(1.0);
    bench.run(1.0);
    let fallen = bench.object(RED_CUBE);
    assert!((fallen.z - 0.025).abs() < 1e-6, "beside the table: {fallen}");
    assert!(fallen.distance(expected.with_z(0.025)) < 0.05);
}

#[test]
fn a_cube_is_grasped_from_another_place_and_raised_by_the_lift_alone() {
    let mut bench = Bench::new();
    bench.tick();
    bench.drive(BaseCommand { vx: 0.0, vy: 0.1, wz: -0.2, lift: 0.0 }, 1.0);
    let cube = bench.object(RED_CUBE);
    bench.reach_for(bench.world.base().inverse().point(cube));
    bench.run(2.0);
    bench.gripper(0.0);
    bench.drive(BaseCommand { lift: 0.1, ..BaseCommand::default() }, 2.0);
    let raised = bench.object(RED_CUBE) - cube;
    assert!((raised.z - 0.2).abs() < 0.01 && raised.with_z(0.0).length() < 0.01, "{raised}");
}

#[test]
fn the_base_stops_at_the_table_and_says_that_something_is_in_the_way() {
    let mut bench = Bench::new();
    bench.tick();
    bench.command.base = Some(ahead(0.5));
    assert_eq!(bench.tick().limited, None);
    bench.run(2.0);
    assert_eq!(bench.tick().limited, Some(HoldReason::Collision));
    let x = bench.world.base().translation.x;
    assert!(x > 0.1 && x < TABLE.min.x, "{x}");
    bench.command.base = Some(BaseCommand::default());
    assert_eq!(bench.tick().limited, None);
}

#[test]
fn reset_puts_things_back_but_leaves_the_base_where_it_is() {
    let mut bench = Bench::holding_the_red_cube();
    bench.drive(BaseCommand { vx: -0.3, vy: 0.0, wz: 0.4, lift: 0.1 }, 1.0);
    let base = bench.world.base();
    bench.world.put_back();
    bench.run(0.5);
    assert_eq!(bench.world.base(), base);
    assert_eq!(bench.world.objects(), World::new(&bench.description).objects());
}

#[test]
fn a_base_that_is_told_nothing_stands() {
    let mut bench = Bench::new();
    bench.tick();
    bench.drive(ahead(-0.5), 0.5);
    let there = bench.world.base();
    bench.command.base = None;
    bench.run(1.0);
    assert_eq!(bench.world.base(), there);
}

#[test]
fn a_pause_of_the_commands_is_no_long_way() {
    let mut bench = Bench::new();
    bench.tick();
    bench.command.base = Some(ahead(-0.5));
    bench.now = bench.now + Duration::from_secs(3600);
    bench.tick();
    let x = bench.world.base().translation.x;
    assert!((x + 0.5 * MAX_PAUSE).abs() < 1e-9, "{x}");
}

#[test]
fn the_base_read_between_two_commands_is_where_it_is_then() {
    let mut bench = Bench::new();
    bench.tick();
    bench.command.base = Some(BaseCommand { vx: -0.3, vy: 0.2, wz: 0.7, lift: 0.1 });
    for _ in 0..20 {
        bench.tick();
        let then = bench.now + TICK;
        let read = bench.world.base_reading(&bench.description, then).unwrap();
        let mut ahead = bench.world.clone();
        ahead.advance(&bench.description, then, &bench.command).unwrap();
        assert!(read.pose.position().distance(ahead.foot().translation) < 1e-12);
        assert!((read.lift.unwrap() - ahead.base().translation.z).abs() < 1e-12);
        assert_ne!(Some(read), bench.world.base_reading(&bench.description, bench.now));
    }
    bench.description.base = None;
    assert_eq!(bench.world.base_reading(&bench.description, bench.now), None);
}
