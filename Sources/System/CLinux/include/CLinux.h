#pragma once
// Linux calls that Swift's Glibc overlay does not import.
#include <malloc.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include "CLinuxNamespaces.h"
#include "CLinuxSpawn.h"

// Names the calling thread; at most 15 characters count. prctl is variadic, which Swift cannot call.
void cl_name_thread(const char *name);
