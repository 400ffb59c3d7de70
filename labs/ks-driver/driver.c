/* The simulated card's driver for Wine: takes what the system sends and hands it to barewire_ks_driver.dll, in which the
 * card lives. What a kernel would do with pages and handles the library does with Win32, which only works because Wine's
 * drivers live in an ordinary process. An image that imports a system library is loaded as a library: hence two files.
 *
 * Two devices, two filters: Wine 8 does not bring interfaces with a reference string to life. */

#include <ntddk.h>

typedef unsigned long long u64;

__declspec(dllimport) void bwks_start(void (*complete)(void *, ULONG, u64), void (*plug)(int));
__declspec(dllimport) u64 bwks_open(int is_topology);
__declspec(dllimport) void bwks_close(u64 object);
__declspec(dllimport) ULONG bwks_control(u64 object, u64 client, ULONG code, void *irp, const void *input, ULONG input_bytes,
                                         void *output, ULONG output_bytes, u64 *information);
__declspec(dllimport) void bwks_cancel(void *irp);
NTSYSAPI HANDLE NTAPI PsGetCurrentProcessId(void);

#define WRITE_STREAM 0x002F8013
#define READ_STREAM 0x002F4017
#define LAB_PATH 0x002F200B

static const GUID categories[] = {
    {0x6994ad04, 0x93ef, 0x11d0, {0xa3, 0xcc, 0x00, 0xa0, 0xc9, 0x22, 0x31, 0x96}}, /* audio */
    {0x65e8773e, 0x8f56, 0x11d0, {0xa3, 0xb9, 0x00, 0xa0, 0xc9, 0x22, 0x31, 0x96}}, /* render */
    {0x65e8773d, 0x8f56, 0x11d0, {0xa3, 0xb9, 0x00, 0xa0, 0xc9, 0x22, 0x31, 0x96}}, /* capture */
    {0xeb115ffc, 0x10c8, 0x4964, {0x83, 0x1d, 0x6d, 0xcb, 0x02, 0xe6, 0xf2, 0x3f}}, /* realtime */
    {0xdda54a40, 0x1e4c, 0x11d1, {0xa0, 0x50, 0x40, 0x57, 0x05, 0xc1, 0x00, 0x00}}, /* topology */
};
#define CATEGORIES 5

struct filter {
    PDEVICE_OBJECT below;
    UNICODE_STRING links[CATEGORIES];
    int is_topology;
};

static struct filter *filters[8];

static NTSTATUS done(PIRP irp, NTSTATUS status, ULONG_PTR information)
{
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = information;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

static void complete(void *pending, ULONG status, u64 information)
{
    IoSetCancelRoutine((PIRP)pending, NULL);
    done(pending, (NTSTATUS)status, (ULONG_PTR)information);
}

/* Audio and topology for the one; all that streams for the other. */
static int belongs(const struct filter *filter, int category)
{
    return category == 0 || (filter->is_topology ? category == 4 : category != 4);
}

static void show(struct filter *filter, int is_there)
{
    for (int n = 0; n < CATEGORIES; n++)
        if (belongs(filter, n))
            IoSetDeviceInterfaceState(&filter->links[n], is_there ? TRUE : FALSE);
}

static void plug(int is_there)
{
    for (int n = 0; n < 8; n++)
        if (filters[n])
            show(filters[n], is_there);
}

static void NTAPI on_cancel(PDEVICE_OBJECT device, PIRP irp)
{
    IoReleaseCancelSpinLock(irp->CancelIrql);
    bwks_cancel(irp);
}

static NTSTATUS NTAPI on_create(PDEVICE_OBJECT device, PIRP irp)
{
    struct filter *filter = device->DeviceExtension;
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);
    u64 object = bwks_open(filter->is_topology);
    stack->FileObject->FsContext = (void *)(ULONG_PTR)object;
    return done(irp, STATUS_SUCCESS, 0);
}

static NTSTATUS NTAPI on_close(PDEVICE_OBJECT device, PIRP irp)
{
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);
    if (stack->MajorFunction == IRP_MJ_CLOSE)
        bwks_close((ULONG_PTR)stack->FileObject->FsContext);
    return done(irp, STATUS_SUCCESS, 0);
}

static NTSTATUS NTAPI on_control(PDEVICE_OBJECT device, PIRP irp)
{
    struct filter *filter = device->DeviceExtension;
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);
    ULONG code = stack->Parameters.DeviceIoControl.IoControlCode;
    ULONG input_bytes = stack->Parameters.DeviceIoControl.InputBufferLength;
    ULONG output_bytes = stack->Parameters.DeviceIoControl.OutputBufferLength;
    const void *input = stack->Parameters.DeviceIoControl.Type3InputBuffer;
    int may_pend = code == WRITE_STREAM || code == READ_STREAM;
    u64 client = (ULONG_PTR)PsGetCurrentProcessId(), information = 0;
    u64 object = (ULONG_PTR)stack->FileObject->FsContext;
    ULONG status;

    if (code == LAB_PATH) {
        ULONG bytes = filter->links[0].Length;
        if (!irp->UserBuffer || output_bytes < bytes)
            return done(irp, STATUS_BUFFER_TOO_SMALL, 0);
        memcpy(irp->UserBuffer, filter->links[0].Buffer, bytes);
        return done(irp, STATUS_SUCCESS, bytes);
    }
    if (may_pend) {
        /* Before the card sees it: it may end at once. */
        IoMarkIrpPending(irp);
        IoSetCancelRoutine(irp, on_cancel);
    }
    status = bwks_control(object, client, code, irp, input, input_bytes, irp->UserBuffer, output_bytes, &information);
    if (!may_pend)
        return done(irp, (NTSTATUS)status, (ULONG_PTR)information);
    if (status != (ULONG)STATUS_PENDING)
        complete(irp, status, information);
    return STATUS_PENDING;
}

static NTSTATUS NTAPI on_pnp(PDEVICE_OBJECT device, PIRP irp)
{
    struct filter *filter = device->DeviceExtension;
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);
    switch (stack->MinorFunction) {
    case IRP_MN_START_DEVICE:
        show(filter, 1);
        irp->IoStatus.Status = STATUS_SUCCESS;
        break;
    case IRP_MN_REMOVE_DEVICE: {
        PDEVICE_OBJECT below = filter->below;
        NTSTATUS status;
        show(filter, 0);
        for (int n = 0; n < 8; n++)
            if (filters[n] == filter)
                filters[n] = NULL;
        irp->IoStatus.Status = STATUS_SUCCESS;
        IoSkipCurrentIrpStackLocation(irp);
        status = IoCallDriver(below, irp);
        IoDetachDevice(below);
        IoDeleteDevice(device);
        return status;
    }
    case IRP_MN_QUERY_REMOVE_DEVICE:
    case IRP_MN_SURPRISE_REMOVAL:
    case IRP_MN_STOP_DEVICE:
        irp->IoStatus.Status = STATUS_SUCCESS;
        break;
    }
    IoSkipCurrentIrpStackLocation(irp);
    return IoCallDriver(filter->below, irp);
}

/* The device's own name tells which filter it is: ROOT#BWKSTOPO#0000. */
static int names_topology(const UNICODE_STRING *link)
{
    static const WCHAR mark[] = {'T', 'O', 'P', 'O'};
    for (int at = 0; at + 4 <= link->Length / 2; at++) {
        int same = 0;
        while (same < 4 && (link->Buffer[at + same] & ~0x20) == mark[same])
            same++;
        if (same == 4)
            return 1;
    }
    return 0;
}

static NTSTATUS NTAPI on_add(PDRIVER_OBJECT driver, PDEVICE_OBJECT below)
{
    PDEVICE_OBJECT device;
    struct filter *filter;
    NTSTATUS status = IoCreateDevice(driver, sizeof(*filter), NULL, 0x2f, 0, FALSE, &device);
    if (status)
        return status;
    filter = device->DeviceExtension;
    filter->below = below;
    for (int n = 0; n < CATEGORIES; n++) {
        IoRegisterDeviceInterface(below, &categories[n], NULL, &filter->links[n]);
        if (n == 0)
            filter->is_topology = names_topology(&filter->links[0]);
    }
    for (int n = 0; n < 8; n++)
        if (!filters[n]) {
            filters[n] = filter;
            break;
        }
    IoAttachDeviceToDeviceStack(device, below);
    device->Flags &= ~DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;
}

static void NTAPI on_unload(PDRIVER_OBJECT driver)
{
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING path)
{
    bwks_start(complete, plug);
    driver->DriverExtension->AddDevice = on_add;
    driver->DriverUnload = on_unload;
    driver->MajorFunction[IRP_MJ_CREATE] = on_create;
    driver->MajorFunction[IRP_MJ_CLOSE] = on_close;
    driver->MajorFunction[IRP_MJ_CLEANUP] = on_close;
    driver->MajorFunction[IRP_MJ_DEVICE_CONTROL] = on_control;
    driver->MajorFunction[IRP_MJ_PNP] = on_pnp;
    return STATUS_SUCCESS;
}
