// swift-tools-version: 6.2
// medcloud: the targets by layer, in import order. Imports go one way only:
// System ← Core ← IaaS ← DaaS ← PaaS ← SaaS ← Gateway ← executables (checked by ops/check-imports).

import PackageDescription

let package = Package(
    name: "medcloud",
    products: [
        .executable(name: "medcloud", targets: ["medcloud"]),
        .executable(name: "medcloudd", targets: ["medcloudd"]),
        .executable(name: "medcloud-controller", targets: ["medcloud-controller"]),
        .executable(name: "medcloud-hypervisor", targets: ["medcloud-hypervisor"]),
    ],
    dependencies: [
        // Exact versions: what a user resolves is what CI tested (docs/decisions/0001).
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/apple/swift-crypto", exact: "4.5.2"),
        .package(url: "https://github.com/apple/swift-http-types", exact: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-extras", exact: "1.35.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", exact: "2.37.6"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", exact: "2.28.1"),
        .package(url: "https://github.com/jpsim/Yams", exact: "6.2.2"),
        .package(url: "https://github.com/swift-server/async-http-client", exact: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
    ],
    targets: [
        // MARK: System — module maps and shims, nothing else

        /// libpq, the PostgreSQL client library.
        .systemLibrary(
            name: "CLibPQ", path: "Sources/System/CLibPQ", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        /// Linux calls that Swift does not import: epoll, eventfd, prctl.
        .target(name: "CLinux", path: "Sources/System/CLinux"),

        /// libvirt, the virtualization library.
        .systemLibrary(
            name: "CLibvirt", path: "Sources/System/CLibvirt", pkgConfig: "libvirt", providers: [.apt(["libvirt-dev"])]),

        // MARK: Core — what every layer speaks

        /// Identifiers, the tenant boundary and where a region keeps its state.
        .target(name: "CloudModel", path: "Sources/Core/CloudModel"),
        /// A strict JSON scanner over bytes: validates once, indexes, never re-encodes.
        .target(name: "StrictJSON", path: "Sources/Core/StrictJSON"),
        /// The libpq driver: pools, pipelined readers, typed errors.
        .target(
            name: "PostgresDriver",
            dependencies: [
                "CLibPQ", "CLinux",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            path: "Sources/Core/PostgresDriver"),
        /// Checksummed, advisory-locked SQL migrations.
        .target(
            name: "SchemaMigration",
            dependencies: [
                "PostgresDriver",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
            ],
            path: "Sources/Core/SchemaMigration"),
        /// Principals, scopes, assertions and access tokens.
        .target(
            name: "CloudIdentity",
            dependencies: [
                "CloudModel", "StrictJSON",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "CryptoExtras", package: "swift-crypto"),
            ],
            path: "Sources/Core/CloudIdentity"),
        /// HTTP edge types that know no server: problems, paging, conditional requests.
        .target(
            name: "CloudHTTP",
            dependencies: [
                "CloudModel", "StrictJSON",
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            path: "Sources/Core/CloudHTTP"),
        /// Structured logs without patient data, and Prometheus metrics.
        .target(
            name: "CloudTelemetry",
            dependencies: [
                "CloudModel",
                .product(name: "Logging", package: "swift-log"),
            ],
            path: "Sources/Core/CloudTelemetry"),

        /// Operations as rows with leases, and the leadership of the controller.
        .target(
            name: "Coordination",
            dependencies: [
                "CloudModel", "PostgresDriver", "SchemaMigration", "StrictJSON",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            path: "Sources/Core/Coordination",
            resources: [
                .embedInCode("Migrations/V0005__create_operation.sql"),
                .embedInCode("Migrations/V0022__settle_each_alone.sql"),
            ]),
        /// What a tenant's manifest says: values, rules and the difference between two of them.
        .target(
            name: "TenantManifest",
            dependencies: [
                "CloudIdentity", "CloudModel", "StrictJSON",
                .product(name: "Crypto", package: "swift-crypto"),
            ],
            path: "Sources/Core/TenantManifest"),

        // MARK: IaaS — virtual machines, networks, storage

        /// Values of virtual machines and the protocol of a hypervisor; knows no hypervisor.
        .target(name: "Virtualization", path: "Sources/IaaS/Virtualization"),
        /// The libvirt driver; the only importer of CLibvirt.
        .target(
            name: "LibvirtVirtualization",
            dependencies: [
                "CLibvirt", "CLinux", "Virtualization",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
            ],
            path: "Sources/IaaS/LibvirtVirtualization"),
        /// libvirtd with its guests in namespaces of their own, for one region on one machine.
        .target(
            name: "PrivateHypervisor",
            dependencies: [
                "CLinux", "CloudModel", "LibvirtVirtualization", "Virtualization",
                .product(name: "Logging", package: "swift-log"),
            ],
            path: "Sources/IaaS/PrivateHypervisor"),
        /// Instances, networks and quotas of tenants: the ledger in the control database and the work on a hypervisor.
        .target(
            name: "ResourcePools",
            dependencies: [
                "CloudIdentity", "CloudModel", "Coordination", "PostgresDriver", "StrictJSON", "TenantManifest",
                "Virtualization",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            path: "Sources/IaaS/ResourcePools",
            resources: [
                .embedInCode("Migrations/V0006__create_resource_pools.sql"),
                .embedInCode("Migrations/V0010__say_what_is_known.sql"),
                .embedInCode("Migrations/V0014__page_usage.sql"),
                .embedInCode("Migrations/V0016__hand_ranges_over.sql"),
                .embedInCode("Migrations/V0018__lower_quotas_later.sql"),
                .embedInCode("Migrations/V0019__begin_use_anew.sql"),
                .embedInCode("Migrations/V0021__settle_instances.sql"),
                .embedInCode("Migrations/V0023__keep_replaced_ranges.sql"),
            ]),

        // MARK: DaaS — databases per tenant

        /// The control database: tenants, where their databases live, and the state each is in.
        .target(
            name: "TenantRegistry",
            dependencies: [
                "CloudModel", "Coordination", "PostgresDriver", "SchemaMigration", "StrictJSON",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            path: "Sources/DaaS/TenantRegistry",
            resources: [
                .embedInCode("Migrations/V0001__create_tenant.sql"),
                .embedInCode("Migrations/V0007__operate_tenants.sql"),
                .embedInCode("Migrations/V0011__limit_cells.sql"),
                .embedInCode("Migrations/V0013__prepared_schemas.sql"),
                .embedInCode("Migrations/V0024__settle_tenants.sql"),
            ]),
        /// Makes, migrates, isolates and removes tenant databases (the controller's work).
        .target(
            name: "DatabaseService",
            dependencies: [
                "CloudModel", "Coordination", "PostgresDriver", "ResourcePools", "SchemaMigration", "StrictJSON",
                "TenantRegistry",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            path: "Sources/DaaS/DatabaseService"),

        // MARK: PaaS — what modules are made of

        /// The module contract.
        .target(
            name: "ModuleKit",
            dependencies: [
                "CloudHTTP", "CloudIdentity", "CloudModel", "PostgresDriver", "SchemaMigration", "TenantRegistry",
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            path: "Sources/PaaS/ModuleKit"),
        /// The FHIR store: definitions, validation, index extraction, search, history, audit.
        .target(
            name: "ClinicalData",
            dependencies: [
                "CloudModel", "PostgresDriver", "SchemaMigration", "StrictJSON",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            path: "Sources/PaaS/ClinicalData",
            resources: [
                .embedInCode("Migrations/V0001__clinical_store.sql"),
                .embedInCode("Migrations/V0002__write.sql"),
                .embedInCode("Migrations/V0003__answers_and_grants.sql"),
                .embedInCode("Migrations/V0004__outbox.sql"),
                .embedInCode("Migrations/V0005__read_batches.sql"),
                .embedInCode("Migrations/V0006__search_in_order.sql"),
                .embedInCode("Migrations/V0007__booking_blacklist.sql"),
                .embedInCode("Migrations/V0008__sort_by_value.sql"),
                .embedInCode("Migrations/V0009__outbox_goes_back.sql"),
            ]),
        /// Clients, keys and the authorization server of a tenant.
        .target(
            name: "ApplicationRegistry",
            dependencies: [
                "CloudHTTP", "CloudIdentity", "CloudModel", "Coordination", "PostgresDriver", "StrictJSON",
                "TenantManifest", "TenantRegistry",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            path: "Sources/PaaS/ApplicationRegistry",
            resources: [
                .embedInCode("Migrations/V0002__create_client.sql"),
                .embedInCode("Migrations/V0003__create_idempotency.sql"),
                .embedInCode("Migrations/V0004__region_client.sql"),
                .embedInCode("Migrations/V0008__create_specification.sql"),
                .embedInCode("Migrations/V0009__note_requests.sql"),
                .embedInCode("Migrations/V0012__rotate_signing_keys.sql"),
                .embedInCode("Migrations/V0015__note_actions.sql"),
                .embedInCode("Migrations/V0017__wait_for_addresses.sql"),
                .embedInCode("Migrations/V0020__forget_requests.sql"),
            ]),

        /// The outbox: what leaves a tenant's database, ordered, at least once, under a lease.
        .target(
            name: "EventBus",
            dependencies: [
                "ClinicalData", "CloudModel", "CloudTelemetry", "PostgresDriver", "SchemaMigration", "StrictJSON",
                "TenantRegistry",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            path: "Sources/PaaS/EventBus",
            resources: [
                .embedInCode("Migrations/V0003__create_outbox_lease.sql"),
                .embedInCode("Migrations/V0010__grant_what_was_begun.sql"),
                .embedInCode("Migrations/V0011__go_back_with_the_region.sql"),
            ]),
        /// What belongs to no single tenant: patient index, record locator, consents and sharing decisions.
        .target(
            name: "RegionalRecord",
            dependencies: [
                "ClinicalData", "CloudIdentity", "CloudModel", "EventBus", "PostgresDriver", "SchemaMigration",
                "StrictJSON", "TenantRegistry",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            path: "Sources/PaaS/RegionalRecord",
            resources: [
                .embedInCode("Migrations/V0001__create_patient_index.sql"),
                .embedInCode("Migrations/V0002__consent_and_decisions.sql"),
                .embedInCode("Migrations/V0004__feed_in_sets.sql"),
                .embedInCode("Migrations/V0005__add_consents_up.sql"),
                .embedInCode("Migrations/V0007__part_persons_again.sql"),
                .embedInCode("Migrations/V0008__read_where_links_came_from.sql"),
                .embedInCode("Migrations/V0009__log_refused_reads.sql"),
                .embedInCode("Migrations/V0012__let_denials_name_their_recorder.sql"),
                .embedInCode("Migrations/V0013__log_whoever_is_named.sql"),
                .embedInCode("Migrations/V0014__remember_persons.sql"),
            ]),
        /// The region's booking blacklist: no-shows come up, entries are decided, each tenant's database gets a copy.
        .target(
            name: "BookingBlacklist",
            dependencies: [
                "ClinicalData", "CloudModel", "EventBus", "PostgresDriver", "RegionalRecord", "StrictJSON",
                "TenantRegistry",
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            path: "Sources/PaaS/BookingBlacklist",
            resources: [.embedInCode("Migrations/V0006__create_blacklist.sql")]),

        // MARK: SaaS — one module each

        /// FHIR R4 over a tenant's records.
        .target(
            name: "HealthRecordExchange",
            dependencies: [
                "ClinicalData", "CloudHTTP", "CloudIdentity", "CloudModel", "ModuleKit", "PostgresDriver", "StrictJSON",
                "TenantRegistry",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            path: "Sources/SaaS/HealthRecordExchange"),

        /// The region's FHIR view over the records of its institutions, consent enforced.
        .target(
            name: "RecordSharing",
            dependencies: [
                "BookingBlacklist", "ClinicalData", "CloudHTTP", "CloudIdentity", "CloudModel", "ModuleKit",
                "PostgresDriver",
                "RegionalRecord", "StrictJSON", "TenantRegistry",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            path: "Sources/SaaS/RecordSharing"),

        // MARK: Gateway

        /// The HTTP edge: limits, authentication, tenant resolution, routing, self-description.
        .target(
            name: "Gateway",
            dependencies: [
                "ApplicationRegistry", "CLinux", "ClinicalData", "CloudHTTP", "CloudIdentity", "CloudModel",
                "CloudTelemetry",
                "Coordination", "EventBus", "ModuleKit", "PostgresDriver", "ResourcePools", "StrictJSON",
                "TenantManifest",
                "TenantRegistry",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "HummingbirdTLS", package: "hummingbird"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOExtras", package: "swift-nio-extras"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
                .product(name: "NIOHTTPTypesHTTP1", package: "swift-nio-extras"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            path: "Sources/Gateway/Gateway"),

        // MARK: Executables — a page each

        /// The commands of `medcloud`: the operator's CLI and the one-machine supervisor. No libpq, no libvirt.
        .target(
            name: "OperatorCommands",
            dependencies: [
                "CLinux", "CloudHTTP", "CloudModel", "StrictJSON", "TenantManifest", "Virtualization",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "Yams", package: "Yams"),
            ],
            path: "Sources/Executables/OperatorCommands"),
        /// The operator's command line.
        .executableTarget(
            name: "medcloud",
            dependencies: ["OperatorCommands", .product(name: "ArgumentParser", package: "swift-argument-parser")],
            path: "Sources/Executables/medcloud"),
        /// A gateway worker with the in-process modules.
        .executableTarget(
            name: "medcloudd",
            dependencies: [
                "ApplicationRegistry", "BookingBlacklist", "ClinicalData", "CloudIdentity", "CloudModel",
                "CloudTelemetry", "EventBus", "Gateway", "HealthRecordExchange", "ModuleKit", "PostgresDriver",
                "RecordSharing", "RegionalRecord",
                "ResourcePools", "SchemaCatalog", "SchemaMigration", "TenantRegistry",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ],
            path: "Sources/Executables/medcloudd"),
        /// The schemas of this build, which the controller makes and a worker asks for.
        .target(
            name: "SchemaCatalog",
            dependencies: [
                "ApplicationRegistry", "BookingBlacklist", "ClinicalData", "Coordination", "EventBus", "RegionalRecord",
                "ResourcePools", "SchemaMigration", "TenantRegistry",
            ],
            path: "Sources/Executables/SchemaCatalog"),
        /// What the controller is made of: the place where operations and duties are registered.
        .target(
            name: "RegionController",
            dependencies: [
                "ApplicationRegistry", "CloudModel", "Coordination", "DatabaseService", "LibvirtVirtualization",
                "ResourcePools", "SchemaCatalog", "SchemaMigration", "TenantRegistry",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            path: "Sources/Executables/RegionController"),
        /// Makes desired state true: databases and machines.
        .executableTarget(
            name: "medcloud-controller",
            dependencies: [
                "CloudTelemetry", "RegionController",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ],
            path: "Sources/Executables/medcloud-controller"),

        /// The private hypervisor of `medcloud up`.
        .executableTarget(
            name: "medcloud-hypervisor",
            dependencies: [
                "CloudTelemetry", "PrivateHypervisor", .product(name: "Logging", package: "swift-log"),
            ],
            path: "Sources/Executables/medcloud-hypervisor"),

        // MARK: Tests — mirror Sources

        /// Private Postgres clusters, regions and clients for tests; small fakes of our own.
        .target(
            name: "TestSupport",
            dependencies: [
                "ApplicationRegistry", "CLinux", "CloudIdentity", "CloudModel", "Coordination", "DatabaseService",
                "PostgresDriver", "RegionController", "SchemaCatalog", "SchemaMigration", "TenantRegistry",
                "Virtualization",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            path: "Tests/TestSupport"),
        .testTarget(
            name: "CloudModelTests", dependencies: ["CloudModel"], path: "Tests/Core/CloudModelTests"),
        .testTarget(
            name: "StrictJSONTests", dependencies: ["StrictJSON"], path: "Tests/Core/StrictJSONTests"),
        .testTarget(
            name: "PostgresDriverTests",
            dependencies: ["PostgresDriver", "SchemaMigration", "TestSupport"],
            path: "Tests/Core/PostgresDriverTests"),
        .testTarget(
            name: "CloudIdentityTests",
            dependencies: [
                "CloudIdentity", "CloudModel",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "CryptoExtras", package: "swift-crypto"),
            ],
            path: "Tests/Core/CloudIdentityTests"),
        .testTarget(
            name: "CloudHTTPTests",
            dependencies: ["CloudHTTP", .product(name: "HTTPTypes", package: "swift-http-types")],
            path: "Tests/Core/CloudHTTPTests"),
        .testTarget(
            name: "CloudTelemetryTests",
            dependencies: ["CloudTelemetry", .product(name: "Logging", package: "swift-log")],
            path: "Tests/Core/CloudTelemetryTests"),
        .testTarget(
            name: "CoordinationTests",
            dependencies: [
                "CloudModel", "Coordination", "DatabaseService", "PostgresDriver", "SchemaCatalog", "SchemaMigration",
                "TestSupport",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            path: "Tests/Core/CoordinationTests"),
        .testTarget(
            name: "TenantManifestTests",
            dependencies: ["CloudIdentity", "CloudModel", "StrictJSON", "TenantManifest"],
            path: "Tests/Core/TenantManifestTests"),
        .testTarget(
            name: "ResourcePoolsTests",
            dependencies: [
                "ApplicationRegistry", "CloudModel", "Coordination", "LibvirtVirtualization", "PostgresDriver",
                "ResourcePools",
                "SchemaMigration",
                "TenantRegistry", "TestSupport", "Virtualization",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            path: "Tests/IaaS/ResourcePoolsTests"),
        .testTarget(
            name: "DatabaseServiceTests",
            dependencies: [
                "CloudModel", "DatabaseService", "PostgresDriver", "SchemaMigration", "TenantRegistry", "TestSupport",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            path: "Tests/DaaS/DatabaseServiceTests"),
        .testTarget(
            name: "ClinicalDataTests",
            dependencies: [
                "ClinicalData", "CloudIdentity", "CloudModel", "PostgresDriver", "SchemaMigration", "StrictJSON",
                "TestSupport",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            path: "Tests/PaaS/ClinicalDataTests",
            exclude: ["Fixtures"]),
        .testTarget(
            name: "ApplicationRegistryTests",
            dependencies: [
                "ApplicationRegistry", "CloudIdentity", "CloudModel", "DatabaseService", "PostgresDriver", "StrictJSON",
                "TenantRegistry", "TestSupport",
                .product(name: "Logging", package: "swift-log"),
            ],
            path: "Tests/PaaS/ApplicationRegistryTests"),
        .testTarget(
            name: "EventBusTests",
            dependencies: [
                "ClinicalData", "CloudModel", "CloudTelemetry", "EventBus", "PostgresDriver", "SchemaMigration",
                "TenantRegistry", "TestSupport",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            path: "Tests/PaaS/EventBusTests"),
        .testTarget(
            name: "RegionalRecordTests",
            dependencies: [
                "ClinicalData", "CloudModel", "CloudTelemetry", "EventBus", "PostgresDriver", "RegionalRecord",
                "StrictJSON", "TenantRegistry", "TestSupport",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            path: "Tests/PaaS/RegionalRecordTests"),
        .testTarget(
            name: "BookingBlacklistTests",
            dependencies: [
                "BookingBlacklist", "ClinicalData", "CloudModel", "CloudTelemetry", "EventBus", "PostgresDriver",
                "RegionalRecord", "StrictJSON", "TenantRegistry", "TestSupport",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            path: "Tests/PaaS/BookingBlacklistTests"),
        .testTarget(
            name: "HealthRecordExchangeTests",
            dependencies: [
                "ClinicalData", "CloudHTTP", "CloudIdentity", "CloudModel", "HealthRecordExchange", "ModuleKit",
                "PostgresDriver", "SchemaMigration", "StrictJSON", "TestSupport",
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            path: "Tests/SaaS/HealthRecordExchangeTests"),
        .testTarget(
            name: "RecordSharingTests",
            dependencies: [
                "ClinicalData", "CloudHTTP", "RecordSharing", "RegionalRecord", "StrictJSON",
                .product(name: "HTTPTypes", package: "swift-http-types"),
            ],
            path: "Tests/SaaS/RecordSharingTests"),
        .testTarget(
            name: "GatewayTests",
            dependencies: [
                "ApplicationRegistry", "BookingBlacklist", "CloudHTTP", "CloudIdentity", "CloudModel", "CloudTelemetry",
                "EventBus",
                "Gateway",
                "HealthRecordExchange", "ModuleKit", "PostgresDriver", "RecordSharing", "RegionalRecord",
                "ResourcePools", "SchemaMigration", "StrictJSON",
                "TenantRegistry",
                "TestSupport",
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            path: "Tests/Gateway/GatewayTests"),
        .testTarget(
            name: "LibvirtVirtualizationTests",
            dependencies: [
                "CloudModel", "LibvirtVirtualization", "Virtualization",
                .product(name: "Logging", package: "swift-log"),
            ],
            path: "Tests/IaaS/LibvirtVirtualizationTests"),
        .testTarget(
            name: "PrivateHypervisorTests",
            dependencies: [
                "PrivateHypervisor", "TestSupport", "Virtualization", .product(name: "Logging", package: "swift-log"),
            ],
            path: "Tests/IaaS/PrivateHypervisorTests"),
        .testTarget(
            name: "CLITests",
            dependencies: [
                "CloudModel", "OperatorCommands", "RegionController", "TenantManifest", "Virtualization",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Crypto", package: "swift-crypto"),
            ],
            path: "Tests/CLITests"),
    ],
    swiftLanguageModes: [.v6]
)

// One place for the settings of our own targets.
for target in package.targets where target.type != .system && target.name != "CLinux" {
    target.swiftSettings = [
        // A warning is an error in our code; dependencies keep theirs.
        .treatAllWarnings(as: .error),
        // `any` is written where it costs.
        .enableUpcomingFeature("ExistentialAny"),
        // What a file uses, it imports.
        .enableUpcomingFeature("MemberImportVisibility"),
        // Imports stay internal unless a signature needs them.
        .enableUpcomingFeature("InternalImportsByDefault"),
    ]
    // Where C pointers live, each unsafe use is marked.
    if ["PostgresDriver", "LibvirtVirtualization", "PrivateHypervisor"].contains(target.name) {
        target.swiftSettings?.append(.strictMemorySafety())
    }
}
