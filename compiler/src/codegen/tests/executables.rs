//! Executables: several programs, several threads, texts, errors, memory.

use super::{Writer, apply, artifact, at, elementwise, floats, load, product, store, targets};
use crate::codegen::module::{Dump, Executable};
use crate::expr::scalar::Scalar;
use crate::phases::Phase;
use crate::plan::{Allocation, Region};
use crate::program::{Count, Loop, Statement};

/// Two parallel loops, in shares of which some are empty.
#[test]
fn all_shares_together_run_every_iteration() {
    for (target, threads) in
        targets().into_iter().flat_map(|target| [1, 2, 3, 7, 40].map(|n| (target, n)))
    {
        let lanes = target.lanes;
        let mut w = Writer::new(lanes);
        let (x, sum) = (w.float(), w.float());
        let mut body = Vec::new();
        for (first, count) in [(0, 5), (5, 8)] {
            let counter = w.counter();
            let strides = [(counter, lanes)];
            let inner = vec![
                load(x, at(0, lanes * first, &strides), 1, lanes),
                load(sum, at(1, lanes * first, &strides), 1, lanes),
                apply(sum, Scalar::Add, vec![x, sum]),
                store(at(1, lanes * first, &strides), sum, 1, lanes),
            ];
            let count = Count::Parallel { first, count };
            body.push(Statement::Loop(Loop { counter, count, body: inner }));
        }
        let program = w.finish("shares", 2, 13, body);
        let n = 13 * lanes;
        let mut expected = vec![floats(n, 1), floats(n, 2)];
        let mut found = expected.clone();
        program.evaluate(&mut expected, 0..13);
        let allocations =
            [Region::Arena, Region::Parameters].map(|region| Allocation { region, offset: 0 });
        let regions = [Region::Arena, Region::Parameters];
        let executable =
            Executable::new(&artifact(vec![program], &allocations, &regions), true).unwrap();
        let table: Vec<*mut u8> = found.iter_mut().map(|x| x.as_mut_ptr().cast()).collect();
        let phase = Phase { parallel: vec![0], ..Phase::default() };
        for share in (0..threads).rev() {
            // SAFETY: both are as long as the program's buffers, and not used by
            // other code.
            unsafe { executable.run_share(&phase, share, threads, &table) }
        }
        let same = |(a, b): (&u32, &u32)| {
            a == b || (f32::from_bits(*a).is_nan() && f32::from_bits(*b).is_nan())
        };
        assert!(expected[1].iter().zip(&found[1]).all(same), "{} {threads}", target.name);
    }
}

#[test]
fn all_programs_run_in_order_and_dumps_have_all_texts() {
    let double = elementwise(4, 8, |e, x| e.add(x, x));
    let mut back = elementwise(4, 8, |e, x| {
        let one = e.float(1.0);
        e.sub(x, one)
    });
    back.buffers = vec![1, 0];
    let allocations = [0, 8].map(|offset| Allocation { region: Region::Arena, offset });
    let dump = Dump { clif: true, asm: true };
    let (executable, texts) = Executable::with_dump(
        &artifact(vec![double, back], &allocations, &[Region::Arena]),
        true,
        dump,
    )
    .unwrap();
    let names: Vec<&str> = texts.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.len(), 6, "{names:?}");
    assert_eq!(names[0], "00_elementwise.clif");
    assert!(texts.iter().all(|(_, text)| !text.is_empty()));
    assert!(executable.code_bytes() > 0);

    let mut arena = [3.0f32; 16];
    // SAFETY: the arena has room for both buffers of eight.
    unsafe { executable.run(&[arena.as_mut_ptr().cast()]) };
    assert_eq!(arena, std::array::from_fn(|i| if i < 8 { 5.0 } else { 6.0 }));
    // SAFETY: as above.
    unsafe { executable.run_kernel(0, &[arena.as_mut_ptr().cast()]) };
    assert_eq!(arena, std::array::from_fn(|i| if i < 8 { 5.0 } else { 10.0 }));
}

#[test]
fn unsupported_artifacts_are_errors() {
    let allocations = [0, 8].map(|offset| Allocation { region: Region::Arena, offset });
    let mut programs = [elementwise(4, 8, |e, x| e.add(x, x))];
    assert!(Executable::new(&artifact(programs.to_vec(), &allocations, &[]), true).is_err());
    assert!(
        Executable::new(&artifact(programs.to_vec(), &allocations[..1], &[Region::Arena]), true)
            .is_err()
    );
    programs[0].lanes = 2;
    assert!(
        Executable::new(&artifact(programs.to_vec(), &allocations, &[Region::Arena]), true)
            .is_err()
    );
}

/// Code is allocated and freed in a mapping in which other code is running.
#[test]
fn code_runs_while_other_code_is_allocated_and_freed() {
    let allocations = [0, 8].map(|offset| Allocation { region: Region::Arena, offset });
    let compile = |number: f32| {
        let program = elementwise(4, 8, |e, x| {
            let number = e.float(number);
            e.add(x, number)
        });
        Executable::new(&artifact(vec![program], &allocations, &[Region::Arena]), false).unwrap()
    };
    let run = |executable: &Executable, number: f32| {
        let mut arena = [1.0f32; 16];
        // SAFETY: the arena has room for both buffers of eight.
        unsafe { executable.run(&[arena.as_mut_ptr().cast()]) };
        assert_eq!(arena[8..], [1.0 + number; 8]);
    };
    let stays = compile(5.0);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let runner = scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                run(&stays, 5.0);
            }
        });
        for i in 0..300 {
            let two = [i as f32, 0.5].map(|number| (compile(number), number));
            two.iter().for_each(|(executable, number)| run(executable, *number));
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        runner.join().unwrap();
    });
}

/// Bytes of executable memory of the process that belong to no file.
#[cfg(target_os = "linux")]
fn generated() -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields[1] == "r-xp" && fields.len() == 5)
        .map(|fields| {
            let (start, end) = fields[0].split_once('-').unwrap();
            let address = |x| usize::from_str_radix(x, 16).unwrap();
            address(end) - address(start)
        })
        .sum()
}

#[cfg(target_os = "linux")]
#[test]
fn dropping_frees_the_memory() {
    let program = product(4, 12, 64, 24);
    let allocations: Vec<Allocation> =
        (0..3).map(|i| Allocation { region: Region::Arena, offset: 4096 * i }).collect();
    for _ in 0..200 {
        let programs = std::array::from_fn::<_, 4, _>(|_| program.clone());
        drop(
            Executable::new(&artifact(programs.to_vec(), &allocations, &[Region::Arena]), false)
                .unwrap(),
        );
    }
    // A leak would be 200 times five functions' pages, 4 MB; other tests run at
    // the same time and have a few.
    assert!(generated() < 1 << 20, "{} bytes", generated());
}
