#pragma once
// What a process needs to live in namespaces of its own; Swift's Glibc module hides these or cannot call them.
#include <sys/mount.h>

/// unshare(2) of mounts, network, host name and System V IPC for the caller, and of process ids for the children that the
/// calling thread makes. Returns 0 or an errno value.
int cl_unshare_host(void);

/// Asks the kernel for `signal` when the thread that made this process ends. Returns 0 or an errno value.
int cl_die_with_parent(int signal);

/// Brings a network interface up. Returns 0 or an errno value.
int cl_interface_up(const char *name);
