{
  imports = [
    ../../flags.nix
    ../preview-operator/options.nix
    ./options.nix
    ./assertions.nix
    ./decrypt.nix
    ./operator-credentials.nix
  ];
}
