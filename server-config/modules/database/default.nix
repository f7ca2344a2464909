{
  imports = [
    ../../flags.nix
    ./options.nix
    ./assertions.nix
    ./server.nix
    ./tenants.nix
    ./backup.nix
  ];
}
