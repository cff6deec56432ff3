//! The component and its instances.

use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::Sleep;
use wasmtime::component::{Component, GuestTaskId, HasData, Linker, ResourceTable};
use wasmtime::{Config, Engine, Store, StoreContextMut};
use wasmtime_wasi::{HostWallClock, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::handler::{
    HandlerState, Instance, ProxyHandler, ProxyPre, ShouldAccept, WorkerExpiration, WorkerState, WorkerStatus,
};
use wasmtime_wasi_http::p3::bindings::ServicePre;
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::outbound::Outbound;
use crate::world::World;

/// Spin's interfaces.
pub(crate) mod bindings {
    wasmtime::component::bindgen!({
        path: "wit",
        world: "spin",
        imports: { "spin:key-value/key-value.[method]store.get-keys": store | trappable },
        with: {
            "spin:key-value/key-value.store": crate::key_value::OpenStore,
            "spin:redis/redis.connection": crate::redis::OpenConnection,
        },
    });
}

/// Starts instances and hands requests to them.
pub(crate) type Handler = ProxyHandler<Origin>;

/// How instances live.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Instances {
    /// Requests that one answers at the same time.
    pub(crate) concurrency: usize,
    /// Requests that one answers in its life.
    pub(crate) reuse: usize,
    /// How long one without work lives on.
    pub(crate) idle: Duration,
}

/// Where instances come from.
pub(crate) struct Origin {
    engine: Engine,
    service: ServicePre<Guest>,
    world: Arc<World>,
    instances: Instances,
}

/// What one instance sees.
pub(crate) struct Guest {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outbound: Outbound,
    table: ResourceTable,
    world: Arc<World>,
}

/// Spin's part of what one instance sees.
pub(crate) struct SpinView<'a> {
    pub(crate) table: &'a mut ResourceTable,
    pub(crate) world: &'a Arc<World>,
}

/// The type by which Spin's part is found.
pub(crate) struct Spin;

impl HasData for Spin {
    type Data<'a> = SpinView<'a>;
}

/// Compiles the component in a file and links it.
pub(crate) fn load(file: &Path, world: Arc<World>, instances: Instances) -> wasmtime::Result<Handler> {
    let mut config = Config::new();
    config.wasm_component_model_async(true);
    let engine = Engine::new(&config)?;
    let component = Component::from_file(&engine, file)?;
    let mut linker = Linker::<Guest>::new(&engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    bindings::Spin::add_to_linker::<_, Spin>(&mut linker, Guest::spin)?;
    let service = ServicePre::new(linker.instantiate_pre(&component)?)?;
    Ok(ProxyHandler::new(Origin { engine, service, world, instances }))
}

impl Guest {
    fn new(world: Arc<World>) -> Self {
        let wasi = WasiCtx::builder().inherit_stdout().inherit_stderr().wall_clock(Wall(Arc::clone(&world))).build();
        let outbound = Outbound(Arc::clone(&world));
        Self { wasi, http: WasiHttpCtx::new(), outbound, table: ResourceTable::new(), world }
    }

    const fn spin(&mut self) -> SpinView<'_> {
        SpinView { table: &mut self.table, world: &self.world }
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.outbound, table: &mut self.table, ctx: &mut self.http }
    }
}

/// The world's clock, as WASI reads it.
struct Wall(Arc<World>);

impl HostWallClock for Wall {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.clock.now_ms()).unwrap_or(0))
    }
}

impl HandlerState for Origin {
    type StoreData = Guest;
    type WorkerExpiration = Expiration;
    type WorkerState = Instances;

    async fn instantiate(&self) -> wasmtime::Result<Instance<Guest, Expiration, Instances>> {
        let mut store = Store::new(&self.engine, Guest::new(Arc::clone(&self.world)));
        let proxy = ProxyPre::P3(self.service.clone()).instantiate_async(&mut store).await?;
        let expiration = Expiration { idle: self.instances.idle, timer: None };
        Ok(Instance { store, proxy, view: Guest::http, expiration, state: self.instances })
    }
}

impl WorkerState for Instances {
    type StoreData = Guest;
    type RequestData = ();

    fn should_accept_request(&self, concurrent_count: usize, total_count: usize) -> ShouldAccept {
        if total_count >= self.reuse {
            ShouldAccept::Never
        } else if concurrent_count >= self.concurrency {
            ShouldAccept::No
        } else {
            ShouldAccept::Yes
        }
    }

    fn on_request_start(
        &self,
        _: StoreContextMut<'_, Guest>,
        (): (),
        _: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + 'static + Send + Sync>> {
        Box::pin(tokio::time::sleep(REQUEST_MAX))
    }

    fn drop(&self, _: Store<Guest>, result: Result<(), wasmtime::Error>) {
        if let Err(error) = result {
            eprintln!("an instance ended: {error:?}");
        }
    }
}

/// When an instance ends.
pub(crate) struct Expiration {
    idle: Duration,
    /// For which moment the timer was set, and the timer.
    timer: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl WorkerExpiration for Expiration {
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>, state: WorkerStatus, start: Instant) -> Poll<()> {
        let until = start
            + match state {
                WorkerStatus::Idle => self.idle,
                WorkerStatus::Requests | WorkerStatus::PostReturn => REQUEST_MAX,
            };
        if self.timer.as_ref().is_none_or(|(set_for, _)| *set_for != until) {
            self.timer = Some((until, Box::pin(tokio::time::sleep_until(until.into()))));
        }
        // Set just now.
        let Some((_, timer)) = &mut self.timer else { return Poll::Pending };
        pin!(timer).poll(context)
    }
}

/// Longest life of a request, and of what it leaves behind.
const REQUEST_MAX: Duration = Duration::from_secs(60);
