"""How Alembic runs here: on the connection that rbl.store.migrate hands over, in its transaction."""

from alembic import context

from rbl.store.columns import Base
from rbl.store.keytables import CustomerKey
from rbl.store.probetables import ProbeRun
from rbl.store.tables import Zone

assert Zone.metadata is CustomerKey.metadata is ProbeRun.metadata is Base.metadata, "all tables are known"

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    # SQLite cannot alter a column: Alembic copies the table instead.
    render_as_batch=connection.dialect.name == "sqlite",
    transaction_per_migration=False,
)
context.run_migrations()
