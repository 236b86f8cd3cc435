//! Faults of the emulated driver: each is reported as what it is, nothing leaks, and what comes after works or says why not.

use cipherformer::backend::{
    Backend,
    cuda::{Cuda, CudaError},
};
use libloading::{Library, Symbol};
use libtest_mimic::Failed;

use super::{
    PROBE, open,
    work::{Circuit, circuit, every_allocation_failed},
};

/// What the driver is told of memory pools: there are some, as on every GPU of today, or none.
const POOLS: [bool; 2] = [false, true];

/// A degree without and one with fused transforms.
const DEGREES: [u32; 2] = [8, 12];

/// The entry points by which the emulated driver is told to fail.
pub struct Faults {
    driver: Library,
}

impl Faults {
    pub const ALLOCATIONS: i32 = 0;
    pub const LAUNCHES: i32 = 1;
    pub const IMAGES: i32 = 2;
    pub const ANY: i32 = 3;
    /// Calls that are counted: waits for a stream, waits for the whole device, allocations, releases.
    pub const STREAM_WAITS: i32 = 0;
    pub const DEVICE_WAITS: i32 = 1;
    pub const ALLOCATED: i32 = 2;
    pub const RELEASED: i32 = 3;

    pub fn new() -> Self {
        // SAFETY: the library is loaded already.
        let driver = unsafe { Library::new("libcuda.so.1") }.unwrap();
        Self { driver }
    }

    /// After `successes` further calls of this kind all fail; -1 ends it.
    pub fn plant(&self, kind: i32, successes: i64) {
        // SAFETY: the signature in tools/cuda-emu/driver.cpp.
        unsafe {
            let fail: Symbol<'_, unsafe extern "C" fn(i32, i64)> = self.driver.get(b"emuFail").unwrap();
            fail(kind, successes);
        }
    }

    /// Bytes of device memory in use.
    pub fn bytes(&self) -> usize {
        // SAFETY: as above.
        unsafe {
            let bytes: Symbol<'_, unsafe extern "C" fn() -> usize> = self.driver.get(b"emuBytes").unwrap();
            bytes()
        }
    }

    /// Streams, graphs, modules and other things of the driver that exist.
    pub fn objects(&self) -> i64 {
        // SAFETY: as above.
        unsafe {
            let objects: Symbol<'_, unsafe extern "C" fn() -> i64> = self.driver.get(b"emuObjects").unwrap();
            objects()
        }
    }

    /// Calls of a kind so far.
    pub fn calls(&self, kind: i32) -> i64 {
        // SAFETY: as above.
        unsafe {
            let calls: Symbol<'_, unsafe extern "C" fn(i32) -> i64> = self.driver.get(b"emuCalls").unwrap();
            calls(kind)
        }
    }

    /// Launches of a kernel so far.
    pub fn launches(&self, kernel: &str) -> i64 {
        let name = std::ffi::CString::new(kernel).unwrap();
        // SAFETY: as above; the name ends with a zero.
        unsafe {
            let launches: Symbol<'_, unsafe extern "C" fn(*const std::ffi::c_char) -> i64> =
                self.driver.get(b"emuLaunches").unwrap();
            launches(name.as_ptr())
        }
    }

    /// Whether devices that are opened from now on have memory pools.
    fn pools(&self, exist: bool) {
        self.set(b"emuPools", i32::from(exist));
    }

    /// Sets a number of the driver.
    fn set(&self, what: &[u8], value: i32) {
        // SAFETY: as above.
        unsafe {
            let set: Symbol<'_, unsafe extern "C" fn(i32)> = self.driver.get(what).unwrap();
            set(value);
        }
    }
}

/// Runs a test on devices whose memory comes from calls that wait, and in the order of a stream.
pub fn both_ways(test: fn() -> Result<(), Failed>) -> Result<(), Failed> {
    let faults = Faults::new();
    for exist in POOLS {
        faults.pools(exist);
        let [allocations, device_waits] = [Faults::ALLOCATED, Faults::DEVICE_WAITS].map(|c| faults.calls(c));
        let result = test();
        faults.pools(true);
        result?;
        // Without pools memory is released by a call that waits for the device, with them never.
        assert!(faults.calls(Faults::ALLOCATED) > allocations);
        assert_eq!(
            faults.calls(Faults::DEVICE_WAITS) > device_waits,
            !exist,
            "pools: {exist}"
        );
    }
    Ok(())
}

pub fn every_failing_allocation_is_reported() -> Result<(), Failed> {
    let faults = Faults::new();
    let (before, want) = ((faults.bytes(), faults.objects()), circuit(open(), DEGREES[0])?);
    let fail = |after: Option<u64>| {
        faults.plant(Faults::ALLOCATIONS, after.map_or(-1, |n| n as i64));
        Ok(())
    };
    let run = || {
        let result = circuit(open(), DEGREES[0]);
        assert_eq!((faults.bytes(), faults.objects()), before, "{result:?} leaks");
        result
    };
    let failures = every_allocation_failed(fail, run, Ok, &want)?;
    println!("{failures} allocations failed in turn");
    assert!(failures > 20, "{failures}");

    // Fused operations on a backend whose pool holds nothing yet that fits them; after each failure it goes on.
    let fused = Circuit::new(open(), DEGREES[1])?;
    let want = fused.read(&fused.run()?)?;
    let other = Circuit::new(open(), DEGREES[1])?;
    let failures = every_allocation_failed(fail, || other.run(), |results| other.read(&results), &want)?;
    println!("{failures} allocations of fused operations failed in turn");
    assert!(failures > 3, "{failures}");
    drop((fused, other));
    assert_eq!((faults.bytes(), faults.objects()), before);
    Ok(())
}

pub fn a_failed_launch_loses_the_device_and_says_so() -> Result<(), Failed> {
    let faults = Faults::new();
    let before = (faults.bytes(), faults.objects());
    for (log_n, n) in [(8, 0), (8, 1), (8, 40), (12, 5), (12, 40), (12, 52), (12, 60)] {
        let backend = open();
        faults.plant(Faults::LAUNCHES, n);
        let message = circuit(backend.clone(), log_n).unwrap_err().to_string();
        assert!(message.contains("lost"), "{message}");
        // The queue stays lost.
        let again = backend.wait().unwrap_err().to_string();
        assert!(again.contains("start a new backend"), "{again}");
        drop(backend);
        faults.plant(Faults::LAUNCHES, -1);
        assert_eq!((faults.bytes(), faults.objects()), before, "launch {n} leaks");
    }
    circuit(open(), 8)?;
    Ok(())
}

/// The device goes at any call: an allocation, a copy, a launch, a wait.
pub fn a_lost_device_is_reported_at_any_call() -> Result<(), Failed> {
    let faults = Faults::new();
    let before = (faults.bytes(), faults.objects());
    let want = circuit(open(), DEGREES[0])?;
    let mut n = 0;
    loop {
        faults.plant(Faults::ANY, n);
        let result = circuit(open(), DEGREES[0]);
        faults.plant(Faults::ANY, -1);
        assert_eq!((faults.bytes(), faults.objects()), before, "call {n} leaks");
        match result {
            Ok(words) => {
                assert_eq!(words, want);
                break;
            }
            Err(error) => assert!(error.to_string().contains("the device was lost"), "{error}"),
        }
        // Every call at first, then fewer.
        n += 1 + n / 8;
    }
    assert!(n > 100, "{n}");
    Ok(())
}

pub fn drivers_and_devices_that_do_not_fit_are_refused() -> Result<(), Failed> {
    let faults = Faults::new();
    let before = (faults.bytes(), faults.objects());
    faults.plant(Faults::IMAGES, 0);
    let error = Cuda::open(0).err().unwrap();
    faults.plant(Faults::IMAGES, -1);
    assert!(matches!(error, CudaError::Image { .. }), "{error:?}");
    assert!(error.to_string().contains("do not load"), "{error}");
    faults.set(b"emuVersion", 12_020);
    let error = Cuda::open(0).err().unwrap();
    faults.set(b"emuVersion", 13_000);
    assert_eq!(
        error,
        CudaError::OldDriver {
            have: 12_020,
            wanted: 12_040
        }
    );
    faults.set(b"emuCapability", 7);
    let error = Cuda::open(0).err().unwrap();
    faults.set(b"emuCapability", 8);
    assert_eq!(
        error,
        CudaError::OldDevice {
            device: String::from(super::EMULATION),
            major: 7,
            minor: 0
        }
    );
    let error = Cuda::open(7).err().unwrap();
    assert_eq!(error, CudaError::NoDevice { ordinal: 7, count: 1 });
    assert_eq!((faults.bytes(), faults.objects()), before);
    circuit(open(), DEGREES[0])?;
    Ok(())
}

/// A process that finds no driver.
pub fn an_absent_driver_is_reported() -> Result<(), Failed> {
    let output = std::process::Command::new(std::env::current_exe()?)
        .env(PROBE, "1")
        .env_remove("LD_LIBRARY_PATH")
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    // A machine with a GPU has another driver to find.
    assert!(
        said.contains("libcuda.so.1 was not found") || said.contains("opened"),
        "{said}"
    );
    Ok(())
}
