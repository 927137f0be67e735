/* isthmus.h: the whole public interface of libisthmus. See docs/conventions.md for ownership and naming. */
#ifndef ISTHMUS_H
#define ISTHMUS_H

#include "isthmus/arrow.h"
#include "isthmus/buffer.h"
#include "isthmus/catalog.h"
#include "isthmus/committer.h"
#include "isthmus/error.h"
#include "isthmus/exchange.h"
#include "isthmus/exchange_server.h"
#include "isthmus/export.h"
#include "isthmus/file.h"
#include "isthmus/lineage.h"
#include "isthmus/render.h"
#include "isthmus/scan.h"
#include "isthmus/server.h"
#include "isthmus/snapshot.h"
#include "isthmus/store.h"
#include "isthmus/table.h"
#include "isthmus/transaction.h"
#include "isthmus/version.h"
#include "isthmus/volume.h"
#include "isthmus/warehouse.h"

#endif
