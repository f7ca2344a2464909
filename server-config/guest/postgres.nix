# For an app that brings its own PostgreSQL (`database = "container"`) by a preview-config.nix: import this file.
# The app's user reaches a database of its own name over the socket, without a password.
{ pkgs, ... }:
{
  services.postgresql = {
    enable = true;
    package = pkgs.postgresql_18;
    enableTCPIP = false;
    ensureDatabases = [ "preview" ];
    ensureUsers = [
      {
        name = "preview";
        ensureDBOwnership = true;
      }
    ];
  };
  environment.variables.DATABASE_URL = "postgresql:///preview?host=/run/postgresql";
}
