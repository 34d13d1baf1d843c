//! A Vulkan layer that loses the device, as a driver does after a hang. Once the file named by the
//! environment variable `LOSE_WHEN` exists, every call that submits work or waits for it fails with
//! `VK_ERROR_DEVICE_LOST`. The layer creates the file named by `LAYER_SEEN` when a device is opened through
//! it. The test that uses the layer compiles it. The interface is that of the Vulkan loader's
//! `LoaderLayerInterface.md`.
#![allow(non_snake_case)]

use std::ffi::{CStr, c_char, c_void};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

type Handle = *mut c_void;
type AnyProc = Option<unsafe extern "C" fn()>;
type GetProc = unsafe extern "C" fn(Handle, *const c_char) -> AnyProc;
type Create = unsafe extern "C" fn(Handle, *const Info, *const c_void, *mut Handle) -> i32;
type CreateInstance = unsafe extern "C" fn(*const Info, *const c_void, *mut Handle) -> i32;
/// A call that submits work or waits for it. No such call has more than five arguments, and only its result
/// matters here.
type Call = unsafe extern "C" fn(usize, usize, usize, usize, usize) -> i32;

const LOST: i32 = -4;
const INITIALIZATION_FAILED: i32 = -3;
const INSTANCE_INFO: i32 = 47;
const DEVICE_INFO: i32 = 48;
const LINK: i32 = 0;

/// The header that every extension structure begins with, followed by the fields of a layer's structure.
#[repr(C)]
struct Info {
    kind: i32,
    next: *mut Info,
    function: i32,
    link: *mut Link,
}

#[repr(C)]
struct Link {
    next: *mut Link,
    instance: GetProc,
    device: GetProc,
}

#[repr(C)]
pub struct Negotiation {
    kind: i32,
    next: *mut c_void,
    version: u32,
    instance: Option<GetProc>,
    device: Option<GetProc>,
    physical: Option<GetProc>,
}

static NEXT_INSTANCE: OnceLock<GetProc> = OnceLock::new();
static NEXT_DEVICE: OnceLock<GetProc> = OnceLock::new();
/// The device whose entry points are requested.
static DEVICE: AtomicUsize = AtomicUsize::new(0);

#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkNegotiateLoaderLayerInterfaceVersion(own: *mut Negotiation) -> i32 {
    let own = unsafe { &mut *own };
    own.version = 2;
    own.instance = Some(instance_proc);
    own.device = Some(device_proc);
    own.physical = None;
    0
}

/// Returns the link to the next layer in `info`, and advances the link for that layer.
unsafe fn next(info: *const Info, kind: i32) -> Option<*mut Link> {
    let mut at = unsafe { (*info).next };
    while !at.is_null() {
        let own = unsafe { &mut *at };
        if own.kind == kind && own.function == LINK {
            let link = own.link;
            own.link = unsafe { (*link).next };
            return Some(link);
        }
        at = own.next;
    }
    None
}

unsafe extern "C" fn create_instance(
    info: *const Info,
    allocator: *const c_void,
    instance: *mut Handle,
) -> i32 {
    unsafe {
        let Some(link) = next(info, INSTANCE_INFO) else { return INITIALIZATION_FAILED };
        let get = (*link).instance;
        let _ = NEXT_INSTANCE.set(get);
        let Some(create) = get(std::ptr::null_mut(), c"vkCreateInstance".as_ptr()) else {
            return INITIALIZATION_FAILED;
        };
        std::mem::transmute::<_, CreateInstance>(create)(info, allocator, instance)
    }
}

unsafe extern "C" fn create_device(
    physical: Handle,
    info: *const Info,
    allocator: *const c_void,
    device: *mut Handle,
) -> i32 {
    unsafe {
        let Some(link) = next(info, DEVICE_INFO) else { return INITIALIZATION_FAILED };
        let _ = NEXT_DEVICE.set((*link).device);
        if let Some(path) = std::env::var_os("LAYER_SEEN") {
            let _ = std::fs::write(path, "");
        }
        let Some(create) = ((*link).instance)(std::ptr::null_mut(), c"vkCreateDevice".as_ptr())
        else {
            return INITIALIZATION_FAILED;
        };
        std::mem::transmute::<_, Create>(create)(physical, info, allocator, device)
    }
}

/// Returns whether the device is lost.
fn is_lost() -> bool {
    static WAS_LOST: AtomicBool = AtomicBool::new(false);
    let file_exists =
        || std::env::var_os("LOSE_WHEN").is_some_and(|path| Path::new(&path).exists());
    WAS_LOST.fetch_or(file_exists(), Ordering::SeqCst) || file_exists()
}

/// Defines the calls that fail once the device is lost. Until then they call the next layer.
macro_rules! calls {
    ($($name:literal $own:ident;)*) => {
        $(
            unsafe extern "C" fn $own(a: usize, b: usize, c: usize, d: usize, e: usize) -> i32 {
                static NEXT: OnceLock<Call> = OnceLock::new();
                if is_lost() {
                    return LOST;
                }
                let next = NEXT.get_or_init(|| unsafe {
                    let get = NEXT_DEVICE.get().expect("a device");
                    let entry = get(DEVICE.load(Ordering::SeqCst) as Handle, $name.as_ptr());
                    std::mem::transmute::<AnyProc, Call>(entry)
                });
                unsafe { next(a, b, c, d, e) }
            }
        )*

        fn failing(name: &CStr) -> AnyProc {
            $(
                if name == $name {
                    return unsafe { std::mem::transmute::<Call, AnyProc>($own) };
                }
            )*
            None
        }
    };
}

calls! {
    c"vkQueueSubmit" submit;
    c"vkQueueSubmit2" submit_2;
    c"vkQueueSubmit2KHR" submit_2_khr;
    c"vkWaitForFences" wait;
    c"vkGetFenceStatus" status;
    c"vkWaitSemaphores" wait_semaphores;
    c"vkWaitSemaphoresKHR" wait_semaphores_khr;
    c"vkGetSemaphoreCounterValue" counter;
    c"vkGetSemaphoreCounterValueKHR" counter_khr;
    c"vkQueueWaitIdle" queue_idle;
    c"vkDeviceWaitIdle" device_idle;
}

unsafe extern "C" fn instance_proc(instance: Handle, name: *const c_char) -> AnyProc {
    unsafe {
        match CStr::from_ptr(name) {
            own if own == c"vkGetInstanceProcAddr" => {
                std::mem::transmute::<GetProc, AnyProc>(instance_proc)
            }
            own if own == c"vkGetDeviceProcAddr" => {
                std::mem::transmute::<GetProc, AnyProc>(device_proc)
            }
            own if own == c"vkCreateInstance" => {
                std::mem::transmute::<CreateInstance, AnyProc>(create_instance)
            }
            own if own == c"vkCreateDevice" => {
                std::mem::transmute::<Create, AnyProc>(create_device)
            }
            _ => NEXT_INSTANCE.get().and_then(|get| get(instance, name)),
        }
    }
}

unsafe extern "C" fn device_proc(device: Handle, name: *const c_char) -> AnyProc {
    unsafe {
        DEVICE.store(device as usize, Ordering::SeqCst);
        let own = CStr::from_ptr(name);
        if own == c"vkGetDeviceProcAddr" {
            return std::mem::transmute::<GetProc, AnyProc>(device_proc);
        }
        let next = NEXT_DEVICE.get().and_then(|get| get(device, name));
        // The layer offers no entry point that the device does not have.
        next.and_then(|next| failing(own).or(Some(next)))
    }
}
