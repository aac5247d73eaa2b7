/** The public API of Stowage, name by name. */
/// <reference types="node" preserve="true" />

import './supported-node.js'

export { type ErrorCode, StowageError, type StowageErrorOptions } from './errors.js'
export type { OnProgress, ProgressEvent, RetryEvent, WaitOptions } from './progress.js'

// Packing, verifying, loading, serving and copying
export { pack, type PackResult } from './verbs/pack.js'
export { planPack } from './verbs/pack-plan.js'
export type { PackedImage, PackImage, PackOptions } from './verbs/pack-requests.js'
export type { PlannedImage, TransferPlan } from './transfer/planner.js'
export type { Verified } from './archive/read-back.js'
export type { Room } from './archive/space.js'
export type { LayerProofs, UnprovedLayer } from './bundle/layer-comparison.js'
export { verifyAgainst, type VerifyAgainstOptions, type VerifyAgainstReport } from './verbs/verify-against.js'
export { verifyBundle, type VerifyBundleOptions } from './bundle/verify.js'
export type { VerifyReport } from './bundle/verify-report.js'
export { signBundle, type SignOptions, type SignResult } from './verbs/sign.js'
export { generateKeys, type KeygenOptions, type KeygenResult } from './verbs/keygen.js'
export { type AskPassphrase, type KeyFormat, readPrivateKey, type Signer } from './signature/private-key.js'
export { type KeyType, type PublicKey, readPublicKey } from './signature/public-key.js'
export { commandSigner } from './signature/sign-command.js'
export { type KeylessTrust, readTrustedRoot } from './signature/keyless.js'
export { type Policy, readPolicy } from './signature/policy.js'
export type { FoundSignature, Requirement, SignatureReport } from './signature/check.js'
export type { KnownRelease, Release } from './signature/release.js'
export type { Trust } from './signature/trust.js'
export { type LogFinding, type LogReport, verifyLog, type VerifyLogOptions } from './custody/check.js'
export type { LoggedBundle, LoggedFacts } from './custody/entry.js'
export { appendLog, expectLog, type LogHead, type NewEntry } from './custody/log-file.js'
export { mergeLogs } from './custody/merge.js'
export { protectBundle, type ProtectOptions, type ProtectResult } from './verbs/protect.js'
export { repairBundle, type RepairOutcome, type RepairReport } from './verbs/repair.js'
export type { RecoveryPlan } from './recovery/create-set.js'
export type { DamagedFile } from './recovery/repair-set.js'
export { loadBundle, type LoadedImage, type LoadOptions, type LoadResult, planLoad } from './verbs/load.js'
export {
  type BundleServer,
  type ServeAddress,
  serveBundle,
  type ServedRequest,
  type ServeOptions,
} from './serve/serve.js'
export type { CatalogImage } from './serve/catalog.js'
export type { FailedConnection } from './serve/strangers.js'
export { copy, type CopyOptions, type CopyResult, planCopy } from './verbs/copy.js'
export type { LayerMakingOptions, TransferOptions, WimMakingOptions } from './transfer/options.js'
export type { SparseForm } from './blob/stripped.js'

// Deltas. Format: docs/delta.md
export { takeInventory, type InventoryOptions } from './verbs/inventory.js'
export { encodeInventory, type InventoryDocument, type InventoryEntry } from './delta/inventory-file.js'
export type { InventoryKind } from './image/inventory.js'
export { diffPlaces, type DiffResult } from './verbs/diff.js'
export type { ImageDifference, LayersDifference, PlaceDifference } from './delta/places.js'
export { mergeBundles, type MergeOptions, type MergeResult } from './verbs/merge.js'
export type { AssumedImage, AssumedLayer, AssumptionSource, BundleAssumption } from './bundle/delta.js'

// Copying
export { copyImage, type CopyImageOptions } from './transfer/copy-image.js'
export { prune, type PrunedFile, type PrunedWorkspace, type PruneOptions, type PruneResult } from './verbs/prune.js'
export type { FoundWorkspace } from './blob/workspace.js'
export type { Owner } from './blob/owner.js'

// Images files. Format: docs/images-yaml.md
export {
  type ImagesFilePlan,
  packImagesFile,
  type PackImagesFileOptions,
  type PackImagesFileResult,
  planImagesFile,
  type PlannedListImage,
} from './images-file/pack-images-file.js'
export { imagesFileSchema } from './images-file/schema.js'

// Base OS images of Windows
export { installImages, installWims } from './base-image/install.js'
export type {
  InstalledImage,
  InstallImagesOptions,
  InstallOptions,
  InstallResult,
  InstallWimOptions,
} from './base-image/install-options.js'
export type { CatalogContent, CatalogEntry } from './base-image/catalog.js'
export { type CandidateOptions, chooseCandidates } from './base-image/candidates.js'
export { findImages, type FindImagesOptions } from './base-image/search.js'
export { type SavedImage, saveImage, type SaveOptions } from './base-image/save.js'
export { saveImageParts } from './base-image/save-parts.js'
export { checkWimLayer } from './layer/make/check-wim.js'

// Inspecting images, and working with registries
export { inspectPage } from './verbs/inspect-page.js'
export { inspect, type InspectOptions, type Inspection, inspectRaw } from './verbs/inspect.js'
export type {
  InspectedArtifact,
  InspectedImage,
  InspectedLayer,
  InspectedManifest,
  InspectedPlatform,
  InspectedWim,
} from './image/inspection.js'
export type { ConfigDetails, HistoryEntry } from './oci/config-details.js'
export { listRepositories, listTags, type ListTagsOptions, type RepositoryTags, type TagRule } from './registry/tags.js'
export { type FoundRepository, type SearchOptions, searchRepositories, type SearchResult } from './registry/search.js'
export { planPull, type PulledImage, pullImages, type PullOptions, type PullResult } from './verbs/pull.js'
export { planPush, type PushedImage, pushImages, type PushOptions, type PushResult } from './verbs/push.js'

// Image stores and the docker-like commands. Reference: docs/images.md
export { type ImageList, listImages, type ListedImage, type ListImagesOptions } from './verbs/images.js'
export { type ImageHistory, imageHistory } from './verbs/history.js'
export { type TaggedImage, tagImage } from './verbs/tag.js'
export { type RemovedImage, removeImages, type RemoveImagesOptions, type RemoveResult } from './verbs/remove.js'
export { commitContainer, type CommitContainerOptions, type CommittedImage } from './verbs/commit.js'
export {
  type UninstalledImage,
  uninstallImages,
  type UninstallOptions,
  type UninstallResult,
} from './base-image/uninstall.js'
export type { HistoryStep, Removal, StoredImage, StoredPlatform } from './image/image-store.js'
export type { DependentTree } from './image/lineage.js'
export type { StoreOptions } from './transport/open.js'
export type { HeldIdentity, ImageIdentity } from './oci/image-identity.js'

// Bundles. Format: docs/bundle-format.md
export { type BundleReader, type BundleReaderOptions, openBundleReader } from './bundle/reader.js'
export { type BundleWriter, type BundleWriterOptions, openBundleWriter } from './bundle/writer.js'
export type { BundleFile } from './bundle/files.js'
export {
  type JoinedVolumes,
  joinVolumes,
  type JoinVolumesOptions,
  splitBundle,
  type SplitBundleOptions,
} from './verbs/volumes.js'
export type { CheckedVolumes } from './bundle/verify-volumes.js'
export type { AskForMedium, MediumRequest } from './volumes/gone.js'
export type { AskForVolume, MissingVolume } from './volumes/volume-stream.js'
export type { WrittenVolume } from './volumes/beside.js'
export type { WriteVolumesOptions, WrittenVolumes } from './volumes/write-volumes.js'
export type { Finding, FindingCode } from './bundle/graph.js'
export type { NamedImage } from './archive/heads.js'
export {
  type BundleFileEntry,
  type BundleImage,
  type BundleLayer,
  type BundleManifest,
  type BundlePlatform,
  parseBundleManifest,
} from './bundle/manifest.js'

// Sources and destinations
export type { ImageSource, SourceImage } from './image/image-source.js'
export { type EngineSourceOptions, openEngineSource } from './transport/engine/source.js'
export { openLayoutSource } from './transport/oci/source.js'
export type { OpenArchiveOptions } from './archive/open-archive.js'
export { openOciArchiveSource } from './transport/archive/oci-source.js'
export type { ArchiveSourceOptions } from './transport/layout-images.js'
export { openDockerArchiveSource } from './transport/archive/docker-source.js'
export { type DirectorySourceOptions, openDirectorySource } from './transport/directory/source.js'
export { openWimSource, type WimLayerOptions, type WimSourceOptions } from './transport/wim/source.js'
export { formatLocation, parseLocation } from './transport/location.js'
export { defaultStore } from './transport/default-store.js'
export type { Location } from './transport/transport.js'
export type { ImageDestination, WrittenImage } from './image/image-destination.js'
export { type EngineDestinationOptions, openEngineDestination } from './transport/engine/destination.js'
export { openLayoutDestination } from './transport/oci/destination.js'
export { openOciArchiveDestination, type OciArchiveDestinationOptions } from './transport/archive/oci-destination.js'
export {
  type DockerArchiveDestinationOptions,
  openDockerArchiveDestination,
} from './transport/archive/docker-destination.js'

// Registry credentials
export {
  login,
  type LoginOptions,
  type LoginResult,
  logout,
  type LogoutOptions,
  type LogoutResult,
} from './registry/login.js'

// Content-addressed blobs
export type { BlobSink, BlobStage, BlobStore, Bytes, FetchOptions, StagedBlob } from './blob/blob-store.js'
export { BlobDirectory } from './blob/directory.js'
export { type Document, type ImageContent, type PlatformImage, readImage } from './blob/closure.js'
export { verified } from './blob/verified.js'

// WIM archives
export { createWim, openWim, WimFile } from './wim/wim-file.js'
export { joinWims } from './wim/join.js'
export { extractFromPipe } from './wim/pipe.js'
export { setUpWimlib, wimlibVersion } from './wim/binding.js'
export { type Codec, type CodecOptions, compressChunk, compressorMemory, decompressChunk } from './wim/codec.js'
export type { WimImage, WindowsInfo } from './wim/image.js'
export type { BlobList, BlobPiece, ReadOptions } from './wim/blob.js'
export type { BlobCount, BlobCounts, MissingFile } from './wim/missing.js'
export type {
  AddImageOptions,
  AddOptions,
  CaptureSource,
  DeleteOptions,
  EntriesOptions,
  ErrorAnswer,
  ExportOptions,
  ExtractOptions,
  ExtractPathsOptions,
  ImageNumber,
  InfoChange,
  JobOptions,
  JoinOptions,
  MountOptions,
  OpenOptions,
  OutputOptions,
  OverwriteOptions,
  ReferenceOptions,
  SplitOptions,
  SplitPart,
  UnmountOptions,
  UpdateCommand,
  UpdateOptions,
  WimlibSettings,
  WriteOptions,
  WriteTarget,
} from './wim/options.js'
export type {
  ExtractProgress,
  IntegrityProgress,
  OnWimProgress,
  ScanProgress,
  SplitProgress,
  WimProgress,
} from './wim/progress.js'
export { WimlibError, type WimlibErrorCode } from './wim/error.js'
export type { DirectoryEntry, EntryStream, Resource, UnixData } from './wim/entry.js'
export type { VerifyOptions, WimFinding, WimVerification } from './wim/verify.js'
export { mountImage, unmountImage } from './wim/mount.js'
export { parseUpdateScript, type UpdateScriptOptions } from './wim/update-script.js'
export { parseSourceList } from './wim/source-list.js'
export type { Dentry, Metadata, Stream } from './wim/dentry.js'
export { dateToFiletime, filetimeToDate, filetimeToISOString } from './windows/filetime.js'

// Layers
export {
  type DirectoryLayer,
  layerFromDirectory,
  type LayerFromDirectoryOptions,
  writeLayerFromDirectory,
} from './layer/make/from-directory.js'
export type { LayerCompression } from './layer/compression.js'
export { type LayerFromWimOptions, layerFromWim, type WindowsLayer, writeLayerFromWim } from './layer/make/from-wim.js'
export {
  type WimCompression,
  type WimFromLayers,
  wimFromLayers,
  type WimFromLayersImage,
  type WimFromLayersOptions,
  writeWimFromLayers,
} from './layer/to-wim/wim-from-layers.js'
export type { HiveMerge } from './layer/to-wim/delta-hives.js'
export type { HiveChanges } from './windows/hive/merge-hives.js'
export type { Loss } from './layer/to-wim/losses.js'
export type { LayerBase } from './layer/difference/base-tree.js'
export type { IgnoredDifference } from './layer/difference/compare-trees.js'
export {
  layerDifference,
  type LayerDifference,
  type LayerDifferenceOptions,
  writeLayerDifference,
} from './layer/difference/layer-difference.js'
export type { LayerOrder } from './layer/make/entries.js'
export type { LayerLosses, LayerMends } from './layer/make/lossless.js'

// Reading layers
export {
  type LayerFacts,
  type LayerOrigin,
  type LayerSource,
  openLayer,
  readLayer,
  type ReadLayerOptions,
} from './layer/read/read-layer.js'
export type { LayerTarEntry, TarEntryType } from './layer/read/tar-entry.js'
export { checkLayer, type CheckLayerOptions, type LayerCheck, type LayerFinding } from './layer/read/check.js'
export type { LayerGrade, LayerRule } from './layer/read/check-rules.js'
export {
  inspectLayer,
  type InspectLayerOptions,
  type LayerEntryCounts,
  type LayerInspection,
  type LayerOwner,
} from './layer/read/inspect.js'
export {
  type DiffField,
  diffLayers,
  type DiffLayersOptions,
  type LayerChange,
  type LayerDiff,
} from './layer/read/diff.js'

// OCI types
export type { Descriptor } from './oci/descriptor.js'
export { type Digest, isDigest } from './oci/digest.js'
export type { ImageConfig } from './oci/config.js'
export type { ImageIndex, ImageManifest } from './oci/manifest.js'
export { formatPlatform, parsePlatformSelector, type Platform } from './oci/platform.js'
export { familiarReference, formatReference, parseReference, type Reference, withDefaultTag } from './oci/reference.js'
export type { WimCompressionType } from './wim/compression.js'
export type { WimInfo } from './wim/info.js'
export type { LayerCounts } from './layer/make/plan.js'

// Stowage itself for a stick
export { type KitOptions, type KitResult, writeKit } from './kit/kit.js'
export type { KitPlatform } from './kit/node-binary.js'
