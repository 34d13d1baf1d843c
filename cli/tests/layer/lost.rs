//! A Vulkan layer that loses the device, as drivers do when a GPU hangs or is taken away: as soon as there is
//! the file `LOSE_WHEN`, every call that submits work or waits for it fails with `VK_ERROR_DEVICE_LOST`. The file
//! `LAYER_SEEN` tells that a device was opened through it. Compiled by the test that uses it; the interface is that of the Vulkan loader's
//! `LoaderLayerInterface.md`.
#![allow(non_snake_case)]

use std::ffi::{CStr, c_char, c_void};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

type Handle = *mut c_void;
type Any = Option<unsafe extern "C" fn()>;
type GetProc = unsafe extern "C" fn(Handle, *const c_char) -> Any;
type Create = unsafe extern "C" fn(Handle, *const Info, *const c_void, *mut Handle) -> i32;
type CreateInstance = unsafe extern "C" fn(*const Info, *const c_void, *mut Handle) -> i32;
/// A call that submits or waits: only what it returns matters here, and no call has more arguments.
type Call = unsafe extern "C" fn(usize, usize, usize, usize, usize) -> i32;

const LOST: i32 = -4;
const INITIALIZATION_FAILED: i32 = -3;
const INSTANCE_INFO: i32 = 47;
const DEVICE_INFO: i32 = 48;
const LINK: i32 = 0;

/// The head of every structure that extends another, and what a layer's has behind it.
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
/// The device whose entries are asked for.
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

/// The link to the next layer in `info`, which is moved on for that one.
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

/// Whether the device is lost by now.
fn is_lost() -> bool {
    static LOST_FOR_GOOD: AtomicBool = AtomicBool::new(false);
    let is_there = || std::env::var_os("LOSE_WHEN").is_some_and(|path| Path::new(&path).exists());
    LOST_FOR_GOOD.fetch_or(is_there(), Ordering::SeqCst) || is_there()
}

/// The calls that fail, each with the one behind it.
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
                    std::mem::transmute::<Any, Call>(entry)
                });
                unsafe { next(a, b, c, d, e) }
            }
        )*

        fn failing(name: &CStr) -> Any {
            $(
                if name == $name {
                    return unsafe { std::mem::transmute::<Call, Any>($own) };
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

unsafe extern "C" fn instance_proc(instance: Handle, name: *const c_char) -> Any {
    unsafe {
        match CStr::from_ptr(name) {
            own if own == c"vkGetInstanceProcAddr" => {
                std::mem::transmute::<GetProc, Any>(instance_proc)
            }
            own if own == c"vkGetDeviceProcAddr" => {
                std::mem::transmute::<GetProc, Any>(device_proc)
            }
            own if own == c"vkCreateInstance" => {
                std::mem::transmute::<CreateInstance, Any>(create_instance)
            }
            own if own == c"vkCreateDevice" => std::mem::transmute::<Create, Any>(create_device),
            _ => NEXT_INSTANCE.get().and_then(|get| get(instance, name)),
        }
    }
}

unsafe extern "C" fn device_proc(device: Handle, name: *const c_char) -> Any {
    unsafe {
        DEVICE.store(device as usize, Ordering::SeqCst);
        let own = CStr::from_ptr(name);
        if own == c"vkGetDeviceProcAddr" {
            return std::mem::transmute::<GetProc, Any>(device_proc);
        }
        let next = NEXT_DEVICE.get().and_then(|get| get(device, name));
        // What the device does not have is not there behind this layer either.
        next.and_then(|next| failing(own).or(Some(next)))
    }
}
