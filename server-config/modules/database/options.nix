{ lib, ... }:
let
  inherit (lib) mkOption types;
  identifier = types.strMatching "[a-z][a-z0-9_]{0,30}";
  systemUser = types.strMatching "[a-z][a-z0-9_-]{0,30}";
in
{
  options.berth.database = {
    operatorRole = mkOption {
      type = identifier;
      default = "berth";
      description = "Role and database of the operator: holds its facts and its queue, and makes the tenants' databases.";
    };
    operatorUsers = mkOption {
      type = types.listOf systemUser;
      default = [ ];
      description = "System users that may become the operator's role over the unix socket. The preview-operator module adds its own.";
    };
    webRole = mkOption {
      type = identifier;
      readOnly = true;
      # webhook/adapters/postgres/migrations/0005-web-role.sql grants it what it may.
      default = "berth_web";
      description = "Role of the process that takes webhooks: it hands in deliveries, and can read, change and delete nothing.";
    };
    webUsers = mkOption {
      type = types.listOf systemUser;
      default = [ ];
      description = "System users that may become that role over the unix socket. The preview-operator module adds its own.";
    };
    tenantsRole = mkOption {
      type = identifier;
      readOnly = true;
      # The operator's own name for it (webhook/adapters/postgres/app-databases.ts).
      default = "berth_tenants";
      description = "Group role of which every preview's role is a member; only its members may log in over TCP, each to the database of its own name.";
    };
    seedsRole = mkOption {
      type = identifier;
      readOnly = true;
      # Likewise (webhook/adapters/postgres/seed-templates.ts).
      default = "berth_seeds";
      description = "Group role of the roles that seeds are loaded as: over the unix socket, each into the template database of its own name.";
    };
    memoryMiB = mkOption {
      type = types.ints.between 256 1048576;
      default = 2048;
      description = "Memory that PostgreSQL should count on, in MiB: a quarter for its own cache, the rest expected in the kernel's.";
    };
    connectionsMax = mkOption {
      type = types.ints.between 50 5000;
      # A preview's role gets 20 (webhook/core/limits.ts); a hundred previews rarely use five each at once.
      default = 500;
      description = "Connections at once, of the operator and all previews.";
    };
    tempFileLimit = mkOption {
      type = types.strMatching "[1-9][0-9]*(MB|GB)";
      default = "2GB";
      description = "Temporary disk space that one session may take for sorts and joins.";
    };
    dumpFolder = mkOption {
      type = types.path;
      default = "/var/backup/postgresql";
      description = "Where the dump of all databases is put before a backup.";
    };
  };
}
